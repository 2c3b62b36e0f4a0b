// Several instances of one service by one call, which nacos-client has since 2.1.

import com.alibaba.nacos.api.naming.NamingService;
import com.alibaba.nacos.api.naming.pojo.Instance;
import java.util.List;

public final class Since21Batch implements Own.Part {
    private static final String GROUP = "DEFAULT_GROUP";

    @Override
    public void run(NamingService naming, String service) throws Exception {
        Instance first = Client.instance("127.3.2.1", "9001", List.of("weight=3"));
        Instance second = Client.instance("127.3.2.2", "9002", List.of("team=b"));
        Instance third = Client.instance("127.3.2.3", "9003", List.of("cluster=blue"));

        naming.batchRegisterInstance(service, GROUP, List.of(first, second, third));
        List<Instance> seen = Listing.awaitExactly(naming, service,
                List.of("127.3.2.1:9001", "127.3.2.2:9002", "127.3.2.3:9003"), true);
        Own.ensure("a batch keeps what each instance is",
                seen.get(0).getWeight() == 3
                        && "b".equals(seen.get(1).getMetadata().get("team"))
                        && seen.get(2).getClusterName().equals("blue"),
                seen);

        naming.batchDeregisterInstance(service, GROUP, List.of(second));
        Listing.awaitExactly(naming, service, List.of("127.3.2.1:9001", "127.3.2.3:9003"), true);
        Own.ok("some of a batch can be deregistered");
        naming.batchDeregisterInstance(service, GROUP, List.of(first, third));
        Listing.awaitExactly(naming, service, List.of(), false);
        Own.ok("so can the rest");
        Own.can("batch");
    }
}
