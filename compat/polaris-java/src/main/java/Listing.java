// Lists of instances: read from the client, waited for, and written as JSON.
// Not here: who asks for them (Client, Own). Start reading at `awaitExactly`.

import com.tencent.polaris.api.core.ConsumerAPI;
import com.tencent.polaris.api.exception.ErrorCode;
import com.tencent.polaris.api.exception.PolarisException;
import com.tencent.polaris.api.pojo.Instance;
import com.tencent.polaris.api.rpc.GetAllInstancesRequest;
import com.tencent.polaris.api.rpc.GetInstancesRequest;
import com.tencent.polaris.api.rpc.InstancesResponse;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.function.Predicate;
import java.util.stream.Collectors;

final class Listing {
    private static final long WITHIN_MS = 30_000;
    private static final long POLL_MS = 200;

    private Listing() {}

    /**
     * Asks the way an application does before a call (callable: routed, so neither isolated nor unhealthy ones) or
     * for everything there is. A service that is not there has no instances.
     */
    static List<Instance> of(ConsumerAPI consumer, String service, boolean callable) {
        List<Instance> seen = new ArrayList<>();
        try {
            for (Instance instance : answer(consumer, service, callable).getInstances()) {
                // Where nobody is healthy this client lists everybody, better than nobody.
                if (!callable || instance.isHealthy()) {
                    seen.add(instance);
                }
            }
        } catch (PolarisException error) {
            if (error.getCode() != ErrorCode.SERVICE_NOT_FOUND) {
                throw error;
            }
        }
        seen.sort(Comparator.comparing(Listing::address));
        return seen;
    }

    private static InstancesResponse answer(ConsumerAPI consumer, String service, boolean callable) {
        if (callable) {
            GetInstancesRequest request = new GetInstancesRequest();
            request.setNamespace(Client.NAMESPACE);
            request.setService(service);
            return consumer.getInstances(request);
        }
        GetAllInstancesRequest request = new GetAllInstancesRequest();
        request.setNamespace(Client.NAMESPACE);
        request.setService(service);
        return consumer.getAllInstances(request);
    }

    /** Polls the client's list until it holds these addresses and no others. */
    static List<Instance> awaitExactly(
            ConsumerAPI consumer, String service, List<String> addresses, boolean callable) throws Exception {
        List<String> wanted = addresses.stream().sorted().collect(Collectors.toList());
        return await(service + " is " + wanted, () -> of(consumer, service, callable),
                seen -> addressesOf(seen).equals(wanted));
    }

    /** Looks until what it sees is enough; else it fails, with what it saw last. */
    static <T> T await(String what, Callable<T> look, Predicate<T> enough) throws Exception {
        long deadline = System.nanoTime() + WITHIN_MS * 1_000_000;
        while (true) {
            T seen = look.call();
            if (enough.test(seen)) {
                return seen;
            }
            if (System.nanoTime() > deadline) {
                throw new AssertionError("not within " + WITHIN_MS / 1000 + " s: " + what + "; saw " + seen);
            }
            Thread.sleep(POLL_MS);
        }
    }

    static String address(Instance instance) {
        return instance.getHost() + ":" + instance.getPort();
    }

    static List<String> addressesOf(List<Instance> instances) {
        return instances.stream().map(Listing::address).sorted().collect(Collectors.toList());
    }

    static String json(List<Instance> instances) {
        return instances.stream()
                .map(i -> String.format(
                        "{\"ip\":%s,\"port\":%d,\"weight\":%d,\"healthy\":%b,\"isolated\":%b,\"metadata\":%s,\"cluster\":%s}",
                        quoted(i.getHost()), i.getPort(), i.getWeight(), i.isHealthy(), i.isIsolated(),
                        json(i.getMetadata()), quoted(i.getMetadata().getOrDefault(Client.CLUSTER_KEY, ""))))
                .collect(Collectors.joining(",", "[", "]"));
    }

    /** What a watcher was told: the addresses of those that an application would call. */
    static String line(List<Instance> told) {
        List<Instance> serving =
                told.stream().filter(i -> i.isHealthy() && !i.isIsolated()).collect(Collectors.toList());
        String instances =
                addressesOf(serving).stream().map(Listing::quoted).collect(Collectors.joining(",", "[", "]"));
        return "{\"at_ms\":" + System.currentTimeMillis() + ",\"instances\":" + instances + "}";
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
