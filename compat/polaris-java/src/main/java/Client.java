// What a program written with polaris-java does against a running server: one source for 1.x and 2.x.
//
// Commands (the same for every program beside this one, see ../README.md): hold, see, all, watch, own.
// Only the published client speaks to the server here; nothing of it is patched or replaced. The server's address
// comes from MERAK_POLARIS. The library registers no instance as isolated, so `disabled` is refused.
// Not here: how lists are read (Listing), this library's own scenario (Own). Start reading at `main`.

import com.tencent.polaris.api.core.ConsumerAPI;
import com.tencent.polaris.api.core.ProviderAPI;
import com.tencent.polaris.api.rpc.InstanceDeregisterRequest;
import com.tencent.polaris.api.rpc.InstanceRegisterRequest;
import com.tencent.polaris.api.rpc.WatchServiceRequest;
import com.tencent.polaris.client.api.SDKContext;
import com.tencent.polaris.factory.ConfigAPIFactory;
import com.tencent.polaris.factory.api.DiscoveryAPIFactory;
import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

public final class Client {
    static final String NAMESPACE = "default";
    static final String CLUSTER_KEY = "internal-nacos-cluster";
    // Between heartbeats; the server gives up on an instance after three times that.
    static final int TTL_SECONDS = 2;

    public static void main(String[] args) throws Exception {
        List<String> rest = Arrays.asList(args).subList(1, args.length);
        try (SDKContext context = connect()) {
            switch (args[0]) {
                case "hold":
                    hold(context, instance(
                            rest.get(0), rest.get(1), rest.get(2), rest.get(3), rest.subList(4, rest.size())));
                    break;
                case "see":
                case "all":
                    System.out.println(Listing.json(Listing.awaitExactly(
                            DiscoveryAPIFactory.createConsumerAPIByContext(context),
                            rest.get(0), rest.subList(1, rest.size()), args[0].equals("see"))));
                    break;
                case "watch":
                    watch(DiscoveryAPIFactory.createConsumerAPIByContext(context), rest.get(0));
                    break;
                case "own":
                    Own.run(context);
                    break;
                default:
                    throw new IllegalArgumentException("unknown command " + args[0]);
            }
        }
        // The client's threads are not all daemons.
        System.exit(0);
    }

    static SDKContext connect() throws Exception {
        try (InputStream settings = Client.class.getResourceAsStream("/polaris.yml")) {
            String text = new String(settings.readAllBytes(), StandardCharsets.UTF_8)
                    .replace("SERVER", System.getenv("MERAK_POLARIS"));
            SDKContext context = SDKContext.initContextByConfig(ConfigAPIFactory.loadConfig(
                    new ByteArrayInputStream(text.getBytes(StandardCharsets.UTF_8))));
            context.init();
            return context;
        }
    }

    /** `weight` and `cluster` are the instance's own; every other pair is metadata. */
    static InstanceRegisterRequest instance(
            String namespace, String service, String ip, String port, List<String> pairs) {
        Map<String, String> given = new TreeMap<>();
        for (String pair : pairs) {
            String[] halves = pair.split("=", 2);
            given.put(halves[0], halves[1]);
        }
        if (given.containsKey("disabled")) {
            throw new IllegalArgumentException("this library registers no instance as isolated");
        }
        InstanceRegisterRequest request = new InstanceRegisterRequest();
        request.setNamespace(namespace);
        request.setService(service);
        request.setHost(ip);
        request.setPort(Integer.parseInt(port));
        request.setTtl(TTL_SECONDS);
        if (given.containsKey("weight")) {
            request.setWeight((int) Double.parseDouble(given.remove("weight")));
        }
        if (given.containsKey("cluster")) {
            given.put(CLUSTER_KEY, given.remove("cluster"));
        }
        request.setMetadata(given);
        return request;
    }

    static InstanceDeregisterRequest deregistration(InstanceRegisterRequest of) {
        return address(of, new InstanceDeregisterRequest());
    }

    static <T extends InstanceDeregisterRequest> T address(InstanceRegisterRequest of, T request) {
        request.setNamespace(of.getNamespace());
        request.setService(of.getService());
        request.setHost(of.getHost());
        request.setPort(of.getPort());
        return request;
    }

    private static void hold(SDKContext context, InstanceRegisterRequest instance) throws Exception {
        ProviderAPI provider = DiscoveryAPIFactory.createProviderAPIByContext(context);
        provider.registerInstance(instance);
        System.out.println("held");
        System.in.readAllBytes();
        provider.deRegister(deregistration(instance));
        System.out.println("released");
    }

    /** The first line is what the answer says: an answer of nobody calls no listener. */
    private static void watch(ConsumerAPI consumer, String service) throws Exception {
        WatchServiceRequest request = WatchServiceRequest.builder()
                .namespace(NAMESPACE)
                .service(service)
                .listeners(List.of(event -> System.out.println(Listing.line(event.getAllInstances()))))
                .build();
        System.out.println(Listing.line(Arrays.asList(
                consumer.watchService(request).getResponse().getInstances())));
        System.in.readAllBytes();
    }
}
