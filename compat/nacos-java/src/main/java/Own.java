// The scenario of nacos-client itself: what its calls promise, one after the other.
// Each part has services and addresses of its own. A part that only newer libraries can be asked for is a class
// `Since…`, which the pom leaves out for the others. Not here: how lists are read (Listing). Start reading at `run`.

import com.alibaba.nacos.api.NacosFactory;
import com.alibaba.nacos.api.naming.NamingMaintainService;
import com.alibaba.nacos.api.naming.NamingService;
import com.alibaba.nacos.api.naming.listener.EventListener;
import com.alibaba.nacos.api.naming.listener.NamingEvent;
import com.alibaba.nacos.api.naming.pojo.Instance;
import com.alibaba.nacos.api.naming.pojo.Service;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;

final class Own {
    /** A part that the library at hand may be too old for. */
    interface Part {
        void run(NamingService naming, String service) throws Exception;
    }

    // Shortens the server's patience by metadata, so that being kept alive is seen in seconds.
    private static final Map<String, String> HASTY = Map.of(
            "preserved.heart.beat.interval", "1000",
            "preserved.heart.beat.timeout", "5000",
            "preserved.ip.delete.timeout", "10000");
    private static final long LONGER_THAN_THE_DELETE_TIMEOUT_MS = 13_000;
    private static final List<String> BOTH = List.of("127.3.0.1:9001", "127.3.0.2:9002");

    private Own() {}

    static void run() throws Exception {
        String service = "own-java-" + ProcessHandle.current().pid();
        NamingService naming = Client.connect("public");
        // To gRPC a client has one instance of a service, or a batch; a second registration replaces the first.
        NamingService mate = Client.connect("public");
        Listing.await("the server is up", naming::getServerStatus, "UP"::equals);
        ok("the server says that it is up");
        instances(naming, mate, service);
        persistent(naming, service + "-persistent");
        part("Since21Batch", naming, service + "-batch");
        part("Since30FuzzyWatch", naming, service + "-fuzzy");
        clusters(naming, mate, service + "-clusters");
        operated(naming, service + "-operated");
        Client.shutDown(mate);
        Client.shutDown(naming);
    }

    private static void instances(NamingService naming, NamingService mate, String service) throws Exception {
        Instance first = hasty("127.3.0.1", "9001", "weight=2.5", "cluster=blue", "team=a", "note=ü & =");
        Instance second = hasty("127.3.0.2", "9002", "team=b");
        AtomicReference<List<Instance>> told = new AtomicReference<>(List.of());
        EventListener listener = event -> told.set(((NamingEvent) event).getInstances());
        naming.subscribe(service, listener);

        naming.registerInstance(service, first);
        Instance seen = Listing.awaitExactly(naming, service, BOTH.subList(0, 1), true).get(0);
        ensure("the list gives back weight", seen.getWeight() == 2.5, seen);
        ensure("the list gives back cluster", seen.getClusterName().equals("blue"), seen);
        ensure("the list gives back metadata", seen.getMetadata().equals(first.getMetadata()), seen);
        ensure("the list gives back flags", seen.isHealthy() && seen.isEnabled() && seen.isEphemeral(), seen);
        ensure("the list gives back the service", seen.getServiceName().equals("DEFAULT_GROUP@@" + service), seen);
        awaitTold(told, BOTH.subList(0, 1));
        ok("a subscriber is told of an instance");

        mate.registerInstance(service, second);
        Listing.awaitExactly(naming, service, BOTH, true);
        ok("several instances are listed");
        awaitTold(told, BOTH);
        ok("a subscriber is told of another");
        List<String> services = naming.getServicesOfServer(1, 1000).getData();
        ensure("the service is in the list of services", services.contains(service), services);
        can("services");
        ensure("the service is among the subscribed ones",
                naming.getSubscribeServices().stream().anyMatch(one -> one.getName().endsWith(service)),
                naming.getSubscribeServices());
        String one = naming.selectOneHealthyInstance(service).toInetAddr();
        ensure("one healthy instance is selected", BOTH.contains(one), one);

        Thread.sleep(LONGER_THAN_THE_DELETE_TIMEOUT_MS);
        List<String> alive = Listing.addressesOf(Listing.of(naming, service, true));
        ensure("a living client keeps its instances", alive.equals(BOTH), alive);

        // By heartbeats the instance comes back; over gRPC only the connection that registered it can remove it.
        NamingService other = Client.connect("public");
        other.deregisterInstance(service, second);
        Client.shutDown(other);
        Listing.awaitExactly(naming, service, BOTH, true);
        ok("what somebody else deregisters is there again");

        mate.deregisterInstance(service, second);
        awaitTold(told, BOTH.subList(0, 1));
        ok("a subscriber is told of a removal");
        naming.unsubscribe(service, listener);
        naming.deregisterInstance(service, first);
        Listing.awaitExactly(naming, service, List.of(), false);
        ok("after deregistering nothing is listed");
    }

    private static void clusters(NamingService naming, NamingService mate, String service) throws Exception {
        Instance blue = Client.instance("127.3.4.1", "9001", List.of("cluster=blue"));
        Instance green = Client.instance("127.3.4.2", "9002", List.of("cluster=green"));
        naming.registerInstance(service, blue);
        mate.registerInstance(service, green);
        Listing.awaitExactly(naming, service, List.of("127.3.4.1:9001", "127.3.4.2:9002"), true);
        List<Instance> seen = naming.selectInstances(service, List.of("blue"), true, false);
        ensure("one cluster can be asked for", Listing.addressesOf(seen).equals(List.of("127.3.4.1:9001")), seen);
        naming.deregisterInstance(service, blue);
        mate.deregisterInstance(service, green);
        Listing.awaitExactly(naming, service, List.of(), false);
        ok("instances of clusters can be deregistered");
    }

    /** What the library can do for an operator, which it does over HTTP also where clients speak gRPC. */
    private static void operated(NamingService naming, String service) throws Exception {
        NamingMaintainService operator = NacosFactory.createMaintainService(System.getenv("MERAK_NACOS"));
        String created = service + "-created";
        operator.createService(created, "DEFAULT_GROUP", 0.25f);
        ensure("a service is created", operator.queryService(created).getProtectThreshold() == 0.25f, created);
        operator.updateService(created, "DEFAULT_GROUP", 0.5f, Map.of("team", "a b"));
        Service updated = operator.queryService(created);
        ensure("a service is updated",
                updated.getProtectThreshold() == 0.5f && "a b".equals(updated.getMetadata().get("team")), updated);
        ensure("a service is deleted", operator.deleteService(created), created);

        Instance instance = Client.instance("127.3.5.1", "9001", List.of());
        naming.registerInstance(service, instance);
        Listing.awaitExactly(naming, service, List.of("127.3.5.1:9001"), true);
        instance.setWeight(7);
        operator.updateInstance(service, instance);
        Listing.await("an instance's weight is 7", () -> Listing.of(naming, service, true),
                seen -> seen.size() == 1 && seen.get(0).getWeight() == 7);
        ok("an instance is updated");
        naming.deregisterInstance(service, instance);
        Listing.awaitExactly(naming, service, List.of(), false);
    }

    /** Something listens at the address, so that a server that looks finds it healthy. */
    private static void persistent(NamingService naming, String service) throws Exception {
        try (ServerSocket alive = new ServerSocket(0, 1, InetAddress.getByName("127.3.1.1"))) {
            Instance lasting = Client.instance("127.3.1.1", String.valueOf(alive.getLocalPort()), List.of("team=c"));
            lasting.setEphemeral(false);
            naming.registerInstance(service, lasting);
            Instance seen = Listing.awaitExactly(naming, service, List.of(lasting.toInetAddr()), true).get(0);
            ensure("a persistent instance is listed as such", !seen.isEphemeral(), seen);
            naming.deregisterInstance(service, lasting);
            Listing.awaitExactly(naming, service, List.of(), false);
            ok("a persistent instance is gone when it is deregistered");
            can("persistent");
        }
    }

    private static void part(String name, NamingService naming, String service) throws Exception {
        Class<?> part;
        try {
            part = Class.forName(name);
        } catch (ClassNotFoundException absent) {
            System.err.println("skipped: " + name + ": this version of the library has no such call");
            return;
        }
        ((Part) part.getDeclaredConstructor().newInstance()).run(naming, service);
    }

    private static Instance hasty(String ip, String port, String... pairs) {
        Instance instance = Client.instance(ip, port, Arrays.asList(pairs));
        instance.getMetadata().putAll(HASTY);
        return instance;
    }

    private static void awaitTold(AtomicReference<List<Instance>> told, List<String> addresses) throws Exception {
        Listing.await("a subscriber is told " + addresses, told::get,
                instances -> Listing.addressesOf(instances).equals(addresses));
    }

    static void ensure(String what, boolean isSo, Object detail) {
        if (!isSo) {
            throw new AssertionError("not so: " + what + ": " + detail);
        }
        ok(what);
    }

    static void ok(String what) {
        System.err.println("ok: " + what);
    }

    /** A line that the table of what works is made from. */
    static void can(String feature) {
        System.err.println("can: " + feature);
    }
}
