// Lists of instances: read from the client, waited for, and written as JSON.
// Not here: who asks for them (Client, Own). Start reading at `awaitExactly`.

import com.alibaba.nacos.api.naming.NamingService;
import com.alibaba.nacos.api.naming.pojo.Instance;
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

    /** Asks the server, past what the client keeps. */
    static List<Instance> of(NamingService naming, String service, boolean healthyOnly) throws Exception {
        List<Instance> seen = new ArrayList<>(healthyOnly
                ? naming.selectInstances(service, true, false)
                : naming.getAllInstances(service, false));
        seen.sort(Comparator.comparing(Instance::toInetAddr));
        return seen;
    }

    /** Polls the server's list until it holds these addresses and no others. */
    static List<Instance> awaitExactly(
            NamingService naming, String service, List<String> addresses, boolean healthyOnly) throws Exception {
        List<String> wanted = addresses.stream().sorted().collect(Collectors.toList());
        return await(service + " is " + wanted, () -> of(naming, service, healthyOnly),
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

    static List<String> addressesOf(List<Instance> instances) {
        return instances.stream().map(Instance::toInetAddr).sorted().collect(Collectors.toList());
    }

    static String json(List<Instance> instances) {
        return instances.stream()
                .map(i -> String.format(
                        "{\"ip\":%s,\"port\":%d,\"weight\":%s,\"healthy\":%b,\"enabled\":%b,\"metadata\":%s,\"cluster\":%s}",
                        quoted(i.getIp()), i.getPort(), i.getWeight(), i.isHealthy(), i.isEnabled(),
                        json(i.getMetadata()), quoted(i.getClusterName())))
                .collect(Collectors.joining(",", "[", "]"));
    }

    /** The addresses of those that an application would call. */
    static String jsonOfServing(List<Instance> instances) {
        List<Instance> serving =
                instances.stream().filter(i -> i.isHealthy() && i.isEnabled()).collect(Collectors.toList());
        return addressesOf(serving).stream().map(Listing::quoted).collect(Collectors.joining(",", "[", "]"));
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
