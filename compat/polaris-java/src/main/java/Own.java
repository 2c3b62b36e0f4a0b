// The scenario of polaris-java itself: what its calls promise, one after the other.
// Not here: how lists are read (Listing). Start reading at `run`.

import com.tencent.polaris.api.core.ConsumerAPI;
import com.tencent.polaris.api.core.ProviderAPI;
import com.tencent.polaris.api.exception.PolarisException;
import com.tencent.polaris.api.listener.ServiceListener;
import com.tencent.polaris.api.plugin.server.InterfaceDescriptor;
import com.tencent.polaris.api.plugin.server.ReportServiceContractRequest;
import com.tencent.polaris.api.pojo.Instance;
import com.tencent.polaris.api.rpc.GetHealthyInstancesRequest;
import com.tencent.polaris.api.rpc.GetOneInstanceRequest;
import com.tencent.polaris.api.rpc.GetServiceContractRequest;
import com.tencent.polaris.api.rpc.GetServicesRequest;
import com.tencent.polaris.api.rpc.InstanceHeartbeatRequest;
import com.tencent.polaris.api.rpc.InstanceRegisterRequest;
import com.tencent.polaris.api.rpc.WatchServiceRequest;
import com.tencent.polaris.client.api.SDKContext;
import com.tencent.polaris.factory.api.DiscoveryAPIFactory;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;

final class Own {
    private static final long LONGER_THAN_THREE_TTL_MS = 14_000;
    private static final List<String> ALL = List.of("127.7.0.1:9001", "127.7.0.2:9002", "127.7.0.3:9003");
    private static final List<String> BOTH = ALL.subList(0, 2);

    private final SDKContext context;
    private final ConsumerAPI consumer;
    private final ProviderAPI provider;
    private final String service = "own-polaris-java-" + ProcessHandle.current().pid();
    private final AtomicReference<List<Instance>> told = new AtomicReference<>(List.of());

    private Own(SDKContext context) {
        this.context = context;
        this.consumer = DiscoveryAPIFactory.createConsumerAPIByContext(context);
        this.provider = DiscoveryAPIFactory.createProviderAPIByContext(context);
    }

    static void run(SDKContext context) throws Exception {
        new Own(context).run();
    }

    private void run() throws Exception {
        watch();
        InstanceRegisterRequest first = instance(1, "weight=250", "cluster=blue", "team=a", "note=ü & =");
        InstanceRegisterRequest second = instance(2, "team=b");
        InstanceRegisterRequest silent = instance(3);
        fields(first);
        provider.registerInstance(second);
        silent.setAutoHeartbeat(false);
        provider.register(silent);
        Listing.awaitExactly(consumer, service, ALL, false);
        ok("several instances are listed");
        awaitTold(ALL);
        ok("a watcher is told of instances");
        heartbeats(silent);
        calls();
        contract();
        forgotten(second);
        for (InstanceRegisterRequest registered : List.of(first, second, silent)) {
            provider.deRegister(Client.deregistration(registered));
        }
        Listing.awaitExactly(consumer, service, List.of(), false);
        ok("after deregistering nothing is listed");
        awaitTold(List.of());
        ok("a watcher is told of removals");
    }

    /** From before there is such a service. */
    private void watch() {
        ServiceListener listener = event -> told.set(event.getAllInstances());
        consumer.watchService(WatchServiceRequest.builder()
                .namespace(Client.NAMESPACE).service(service).listeners(List.of(listener)).build());
    }

    private void fields(InstanceRegisterRequest first) throws Exception {
        String id = provider.registerInstance(first).getInstanceId();
        ensure("a registration gives an id", id.length() == 40, id);
        Instance seen = Listing.awaitExactly(consumer, service, ALL.subList(0, 1), true).get(0);
        ensure("the list gives back the id", seen.getId().equals(id), seen);
        ensure("the list gives back weight", seen.getWeight() == 250, seen);
        ensure("the list gives back flags", seen.isHealthy() && !seen.isIsolated(), seen);
        // The server may add pairs of its own: version, protocol, location.
        Map<String, String> given = first.getMetadata();
        ensure("the list gives back metadata",
                seen.getMetadata().entrySet().containsAll(given.entrySet()), seen.getMetadata());
    }

    private void heartbeats(InstanceRegisterRequest silent) throws Exception {
        Listing.awaitExactly(consumer, service, BOTH, true);
        ok("one that sends no heartbeat is not called");
        Thread.sleep(LONGER_THAN_THREE_TTL_MS);
        List<String> alive = Listing.addressesOf(Listing.of(consumer, service, true));
        ensure("heartbeats keep the others alive", alive.equals(BOTH), alive);
        Listing.awaitExactly(consumer, service, ALL, false);
        ok("the silent one is kept, unhealthy");
        provider.heartbeat(Client.address(silent, new InstanceHeartbeatRequest()));
        Listing.awaitExactly(consumer, service, ALL, true);
        ok("one heartbeat makes it healthy again");
    }

    private void calls() throws Exception {
        GetOneInstanceRequest one = new GetOneInstanceRequest();
        one.setNamespace(Client.NAMESPACE);
        one.setService(service);
        Instance picked = consumer.getOneInstance(one).getInstance();
        ensure("one of them can be picked for a call", ALL.contains(Listing.address(picked)), picked);
        GetHealthyInstancesRequest healthy = new GetHealthyInstancesRequest();
        healthy.setNamespace(Client.NAMESPACE);
        healthy.setService(service);
        List<Instance> seen = List.of(consumer.getHealthyInstances(healthy).getInstances());
        ensure("healthy ones can be asked for", Listing.addressesOf(seen).containsAll(BOTH), seen);
        GetServicesRequest every =
                GetServicesRequest.builder().namespace(Client.NAMESPACE).build();
        Listing.await("the service is in the list of services", () -> consumer.getServices(every).getServices(),
                services -> services.stream().anyMatch(known -> known.getService().equals(service)));
        can("services");
    }

    private void contract() throws Exception {
        InterfaceDescriptor method = new InterfaceDescriptor();
        method.setMethod("GET");
        method.setPath("/orders");
        method.setName("orders");
        method.setContent("a list");
        ReportServiceContractRequest report = new ReportServiceContractRequest();
        report.setNamespace(Client.NAMESPACE);
        report.setService(service);
        report.setName("com.example.Orders");
        report.setProtocol("http");
        report.setVersion("1.0");
        report.setContent("what it offers");
        report.setInterfaceDescriptors(List.of(method));
        provider.reportServiceContract(report);
        GetServiceContractRequest asked = new GetServiceContractRequest();
        asked.setNamespace(Client.NAMESPACE);
        asked.setService(service);
        asked.setName("com.example.Orders");
        asked.setProtocol("http");
        asked.setVersion("1.0");
        Listing.await("a contract can be read", () -> consumer.getServiceContract(asked).getServiceRule().getRule(),
                rule -> rule != null && rule.toString().contains("/orders"));
        ok("a contract can be reported and read");
        can("contracts");
    }

    /** Somebody else removes it: its heartbeats fail, and after some of them the client registers again. */
    private void forgotten(InstanceRegisterRequest instance) throws Exception {
        try (SDKContext other = Client.connect()) {
            DiscoveryAPIFactory.createProviderAPIByContext(other).deRegister(Client.deregistration(instance));
        }
        Listing.await("a heartbeat of a forgotten instance is refused", () -> isRefused(instance), refused -> refused);
        Listing.await("an instance that the server forgot comes back",
                () -> Listing.addressesOf(Listing.of(consumer, service, true)),
                seen -> seen.contains(BOTH.get(1)));
        ok("an instance that the server forgot comes back");
    }

    private boolean isRefused(InstanceRegisterRequest instance) {
        try {
            provider.heartbeat(Client.address(instance, new InstanceHeartbeatRequest()));
            return false;
        } catch (PolarisException refused) {
            return true;
        }
    }

    private InstanceRegisterRequest instance(int number, String... pairs) {
        return Client.instance(
                Client.NAMESPACE, service, "127.7.0." + number, String.valueOf(9000 + number), List.of(pairs));
    }

    private void awaitTold(List<String> addresses) throws Exception {
        Listing.await("a watcher is told " + addresses, told::get,
                instances -> Listing.addressesOf(instances).equals(addresses));
    }

    private static void ensure(String what, boolean isSo, Object detail) {
        if (!isSo) {
            throw new AssertionError("not so: " + what + ": " + detail);
        }
        ok(what);
    }

    private static void ok(String what) {
        System.err.println("ok: " + what);
    }

    /** A line that the table of what works is made from. */
    private static void can(String feature) {
        System.err.println("can: " + feature);
    }
}
