// Being told which services there are whose names match a pattern, which nacos-client has since 3.0.

import com.alibaba.nacos.api.naming.NamingService;
import com.alibaba.nacos.api.naming.listener.AbstractFuzzyWatchEventWatcher;
import com.alibaba.nacos.api.naming.listener.FuzzyWatchChangeEvent;
import com.alibaba.nacos.api.naming.pojo.Instance;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;

public final class Since30FuzzyWatch implements Own.Part {
    private static final String GROUP = "DEFAULT_GROUP";
    private static final long KNOWN_WITHIN_S = 30;

    @Override
    public void run(NamingService naming, String service) throws Exception {
        Instance first = Client.instance("127.3.3.1", "9001", List.of());
        Instance second = Client.instance("127.3.3.2", "9002", List.of());
        naming.registerInstance(service + "-1", first);
        Listing.awaitExactly(naming, service + "-1", List.of("127.3.3.1:9001"), true);

        Queue<String> told = new ConcurrentLinkedQueue<>();
        AbstractFuzzyWatchEventWatcher watcher = new AbstractFuzzyWatchEventWatcher() {
            @Override
            public void onEvent(FuzzyWatchChangeEvent event) {
                told.add(event.getChangeType() + " " + event.getServiceName());
            }
        };
        List<String> there = naming.fuzzyWatchWithServiceKeys(service + "*", GROUP, watcher)
                .get(KNOWN_WITHIN_S, TimeUnit.SECONDS)
                .getData();
        Own.ensure("a pattern's services are there at once",
                there.size() == 1 && there.get(0).endsWith(service + "-1"), there);
        awaitTold(told, "ADD_SERVICE " + service + "-1");

        naming.registerInstance(service + "-2", second);
        awaitTold(told, "ADD_SERVICE " + service + "-2");
        Own.ok("a pattern's watcher is told of a new service");
        naming.deregisterInstance(service + "-1", first);
        naming.deregisterInstance(service + "-2", second);
        naming.cancelFuzzyWatch(service + "*", GROUP, watcher);
        Own.ok("a pattern need not be watched for ever");
        Own.can("fuzzy watch");
    }

    private static void awaitTold(Queue<String> told, String what) throws Exception {
        Listing.await("a pattern's watcher is told " + what, () -> told, seen -> seen.contains(what));
    }
}
