// What a program written with nacos-client 1.4.x (Java) does against a running server.
//
// Commands (the same for every program beside this one, see ../README.md): hold, see, all, own.
// Only the published client speaks to the server here; nothing of it is patched or replaced.
// The server's address comes from MERAK_NACOS. Start reading at `main`.

import com.alibaba.nacos.api.NacosFactory;
import com.alibaba.nacos.api.PropertyKeyConst;
import com.alibaba.nacos.api.naming.NamingService;
import com.alibaba.nacos.api.naming.listener.NamingEvent;
import com.alibaba.nacos.api.naming.pojo.Instance;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Predicate;
import java.util.stream.Collectors;

public final class Client {
    private static final long SEE_WITHIN_MS = 30_000;
    private static final long POLL_MS = 200;
    // `own` shortens the server's patience by metadata, so that being kept alive is seen in seconds.
    private static final Map<String, String> HASTY = Map.of(
            "preserved.heart.beat.interval", "1000",
            "preserved.heart.beat.timeout", "5000",
            "preserved.ip.delete.timeout", "10000");
    private static final long LONGER_THAN_THE_DELETE_TIMEOUT_MS = 13_000;

    public static void main(String[] args) throws Exception {
        List<String> rest = Arrays.asList(args).subList(1, args.length);
        switch (args[0]) {
            case "hold":
                hold(rest.get(0), rest.get(1), instance(rest.get(2), rest.get(3), rest.subList(4, rest.size())));
                break;
            case "see":
            case "all":
                boolean healthyOnly = args[0].equals("see");
                System.out.println(json(awaitExactly(
                        connect("public"), rest.get(0), rest.subList(1, rest.size()), healthyOnly)));
                break;
            case "own":
                own();
                break;
            default:
                throw new IllegalArgumentException("unknown command " + args[0]);
        }
        // The client's threads are not all daemons.
        System.exit(0);
    }

    private static NamingService connect(String namespace) throws Exception {
        Properties properties = new Properties();
        properties.put(PropertyKeyConst.SERVER_ADDR, System.getenv("MERAK_NACOS"));
        properties.put(PropertyKeyConst.NAMESPACE, namespace);
        return NacosFactory.createNamingService(properties);
    }

    /** `weight`, `cluster` and `disabled` are the instance's own; every other pair is metadata. */
    private static Instance instance(String ip, String port, List<String> pairs) {
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
        naming.shutDown();
    }

    private static List<Instance> listed(NamingService naming, String service, boolean healthyOnly) throws Exception {
        List<Instance> seen = new ArrayList<>(healthyOnly
                ? naming.selectInstances(service, true, false)
                : naming.getAllInstances(service, false));
        seen.sort(Comparator.comparing(Instance::toInetAddr));
        return seen;
    }

    /** Polls the client's list until it holds these addresses and no others. */
    private static List<Instance> awaitExactly(
            NamingService naming, String service, List<String> addresses, boolean healthyOnly) throws Exception {
        List<String> wanted = addresses.stream().sorted().collect(Collectors.toList());
        long deadline = System.nanoTime() + SEE_WITHIN_MS * 1_000_000;
        while (true) {
            List<Instance> seen = listed(naming, service, healthyOnly);
            if (addressesOf(seen).equals(wanted)) {
                return seen;
            }
            if (System.nanoTime() > deadline) {
                throw new AssertionError(service + ": expected " + wanted + ", saw " + json(seen));
            }
            Thread.sleep(POLL_MS);
        }
    }

    private static List<String> addressesOf(List<Instance> instances) {
        return instances.stream().map(Instance::toInetAddr).sorted().collect(Collectors.toList());
    }

    private static void ensure(String what, boolean isSo, Object detail) {
        if (!isSo) {
            throw new AssertionError("not so: " + what + " " + detail);
        }
        System.err.println("ok: " + what);
    }

    private static void own() throws Exception {
        String service = "own-java-" + ProcessHandle.current().pid();
        NamingService naming = connect("public");
        ensure("the server says that it is up", naming.getServerStatus().equals("UP"), naming.getServerStatus());

        Instance first = hasty("127.3.0.1", "9001", "weight=2.5", "cluster=blue", "team=a", "note=ü & =");
        Instance second = hasty("127.3.0.2", "9002", "team=b");
        AtomicReference<List<Instance>> told = new AtomicReference<>(List.of());
        naming.subscribe(service, event -> told.set(((NamingEvent) event).getInstances()));

        naming.registerInstance(service, first);
        Instance seen = awaitExactly(naming, service, List.of("127.3.0.1:9001"), true).get(0);
        ensure("the list gives back weight", seen.getWeight() == 2.5, seen);
        ensure("the list gives back cluster", seen.getClusterName().equals("blue"), seen);
        ensure("the list gives back metadata", seen.getMetadata().equals(first.getMetadata()), seen);
        ensure("the list gives back flags", seen.isHealthy() && seen.isEnabled() && seen.isEphemeral(), seen);
        ensure("the list gives back the service", seen.getServiceName().equals("DEFAULT_GROUP@@" + service), seen);

        naming.registerInstance(service, second);
        List<String> both = List.of("127.3.0.1:9001", "127.3.0.2:9002");
        awaitExactly(naming, service, both, true);
        ensure("several instances are listed", true, both);
        List<String> services = naming.getServicesOfServer(1, 1000).getData();
        ensure("the service is in the list of services", services.contains(service), services);

        Thread.sleep(LONGER_THAN_THE_DELETE_TIMEOUT_MS);
        ensure("beats keep instances alive", addressesOf(listed(naming, service, true)).equals(both), both);
        awaitTold(told, instances -> addressesOf(instances).equals(both));
        ensure("a subscriber is told", true, both);

        NamingService other = connect("public");
        other.deregisterInstance(service, second);
        other.shutDown();
        awaitExactly(naming, service, both, true);
        ensure("a beat re-creates what somebody else removed", true, both);

        List<Instance> blue = naming.selectInstances(service, List.of("blue"), true, false);
        ensure("one cluster can be asked for", addressesOf(blue).equals(both.subList(0, 1)), blue);

        naming.deregisterInstance(service, first);
        naming.deregisterInstance(service, second);
        awaitExactly(naming, service, List.of(), false);
        ensure("after deregistering nothing is listed", true, both);
        naming.shutDown();
    }

    private static Instance hasty(String ip, String port, String... pairs) {
        Instance instance = instance(ip, port, Arrays.asList(pairs));
        instance.getMetadata().putAll(HASTY);
        return instance;
    }

    private static void awaitTold(AtomicReference<List<Instance>> told, Predicate<List<Instance>> enough)
            throws Exception {
        long deadline = System.nanoTime() + SEE_WITHIN_MS * 1_000_000;
        while (!enough.test(told.get())) {
            if (System.nanoTime() > deadline) {
                throw new AssertionError("the subscriber was last told " + told.get());
            }
            Thread.sleep(POLL_MS);
        }
    }

    private static String json(List<Instance> instances) {
        return instances.stream()
                .map(i -> String.format(
                        "{\"ip\":%s,\"port\":%d,\"weight\":%s,\"healthy\":%b,\"enabled\":%b,\"metadata\":%s,\"cluster\":%s}",
                        quoted(i.getIp()), i.getPort(), i.getWeight(), i.isHealthy(), i.isEnabled(),
                        json(i.getMetadata()), quoted(i.getClusterName())))
                .collect(Collectors.joining(",", "[", "]"));
    }

    private static String json(Map<String, String> metadata) {
        return new TreeMap<>(metadata).entrySet().stream()
                .map(entry -> quoted(entry.getKey()) + ":" + quoted(entry.getValue()))
                .collect(Collectors.joining(",", "{", "}"));
    }

    private static String quoted(String text) {
        return '"' + text.replace("\\", "\\\\").replace("\"", "\\\"") + '"';
    }
}
