// What a program written with nacos-client (Java) does against a running server: one source for 1.1 to 3.x.
//
// Commands (the same for every program beside this one, see ../README.md): hold, see, all, watch, own.
// Only the published client speaks to the server here; nothing of it is patched or replaced. The server's address
// comes from MERAK_NACOS; MERAK_NACOS_GRPC_OFFSET, where set, is how far above it the clients from 2.0 on find gRPC.
// Not here: how lists are read (Listing), this library's own scenario (Own). Start reading at `main`.

import com.alibaba.nacos.api.NacosFactory;
import com.alibaba.nacos.api.PropertyKeyConst;
import com.alibaba.nacos.api.naming.NamingService;
import com.alibaba.nacos.api.naming.listener.NamingEvent;
import com.alibaba.nacos.api.naming.pojo.Instance;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;

public final class Client {
    public static void main(String[] args) throws Exception {
        String offset = System.getenv("MERAK_NACOS_GRPC_OFFSET");
        if (offset != null) {
            System.setProperty("nacos.server.grpc.port.offset", offset);
        }
        List<String> rest = Arrays.asList(args).subList(1, args.length);
        switch (args[0]) {
            case "hold":
                hold(rest.get(0), rest.get(1), instance(rest.get(2), rest.get(3), rest.subList(4, rest.size())));
                break;
            case "see":
            case "all":
                boolean healthyOnly = args[0].equals("see");
                System.out.println(Listing.json(Listing.awaitExactly(
                        connect("public"), rest.get(0), rest.subList(1, rest.size()), healthyOnly)));
                break;
            case "watch":
                watch(rest.get(0));
                break;
            case "own":
                Own.run();
                break;
            default:
                throw new IllegalArgumentException("unknown command " + args[0]);
        }
        // The client's threads are not all daemons.
        System.exit(0);
    }

    static NamingService connect(String namespace) throws Exception {
        Properties properties = new Properties();
        properties.put(PropertyKeyConst.SERVER_ADDR, System.getenv("MERAK_NACOS"));
        properties.put(PropertyKeyConst.NAMESPACE, namespace);
        return NacosFactory.createNamingService(properties);
    }

    /** Ends a client's connection and threads. 1.1 has no call for it: its threads end with the process. */
    static void shutDown(NamingService naming) throws Exception {
        for (var method : NamingService.class.getMethods()) {
            if (method.getName().equals("shutDown")) {
                method.invoke(naming);
            }
        }
    }

    /** `weight`, `cluster` and `disabled` are the instance's own; every other pair is metadata. */
    static Instance instance(String ip, String port, List<String> pairs) {
        Map<String, String> given = new TreeMap<>();
        for (String pair : pairs) {
            String[] halves = pair.split("=", 2);
            given.put(halves[0], halves[1]);
        }
        Instance instance = new Instance();
        instance.setIp(ip);
        instance.setPort(Integer.parseInt(port));
        instance.setWeight(Double.parseDouble(remove(given, "weight", "1")));
        instance.setClusterName(remove(given, "cluster", "DEFAULT"));
        instance.setEnabled(!remove(given, "disabled", "false").equals("true"));
        instance.setMetadata(given);
        return instance;
    }

    private static String remove(Map<String, String> given, String key, String fallback) {
        String value = given.remove(key);
        return value == null ? fallback : value;
    }

    private static void hold(String namespace, String service, Instance instance) throws Exception {
        NamingService naming = connect(namespace);
        naming.registerInstance(service, instance);
        System.out.println("held");
        System.in.readAllBytes();
        naming.deregisterInstance(service, instance);
        System.out.println("released");
        shutDown(naming);
    }

    /** The first line is asked for, so that it comes also where there is nothing to be told of. */
    private static void watch(String service) throws Exception {
        NamingService naming = connect("public");
        System.out.println(line(naming.getAllInstances(service, false)));
        naming.subscribe(service, event -> System.out.println(line(((NamingEvent) event).getInstances())));
        System.in.readAllBytes();
        shutDown(naming);
    }

    private static String line(List<Instance> told) {
        return "{\"at_ms\":" + System.currentTimeMillis() + ",\"instances\":" + Listing.jsonOfServing(told) + "}";
    }
}
