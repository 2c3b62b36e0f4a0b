// Two applications register with the server and call each other; one of them leaves and comes back.
// `own` is its only command; a line `ok: …` on standard error for each thing made sure of.
// The server's address comes from MERAK_NACOS. Start reading at `main`.

package sample;

import java.util.List;
import java.util.function.Predicate;
import org.apache.dubbo.rpc.RpcException;

public final class Driver {
    private static final long WITHIN_MS = 30_000;
    private static final long POLL_MS = 200;

    public static void main(String[] args) throws Exception {
        if (!List.of(args).equals(List.of("own"))) {
            throw new IllegalArgumentException("the command is `own`");
        }
        String offset = System.getenv("MERAK_NACOS_GRPC_OFFSET");
        if (offset != null) {
            System.setProperty("nacos.server.grpc.port.offset", offset);
        }
        // No interface but loopback: Dubbo then binds and registers 127.0.0.1, which it takes from nobody otherwise.
        System.setProperty("dubbo.network.interface.ignored", ".*");
        System.setProperty("java.net.preferIPv4Stack", "true");
        String suffix = "-" + ProcessHandle.current().pid();
        String orders = "sample-orders" + suffix;
        String stock = "sample-stock" + suffix;
        Application first = new Application(orders, stock, Application.Found.BY_APPLICATION);
        Application second = new Application(stock, orders, Application.Found.BY_INTERFACE);

        await("orders calls stock, found by its application", first, stock::equals);
        await("stock calls orders, found by its interface", second, orders::equals);
        second.close();
        await("orders is told that stock has left", first, Driver::nobodyIsThere);
        second = new Application(stock, orders, Application.Found.BY_INTERFACE);
        await("orders calls stock, which is back", first, stock::equals);
        second.close();
        first.close();
        // The client's threads are not all daemons.
        System.exit(0);
    }

    /** Asks the other until the answer is the one wanted; the application may not have been told yet. */
    private static void await(String what, Application asking, Predicate<String> wanted) throws Exception {
        long deadline = System.nanoTime() + WITHIN_MS * 1_000_000;
        while (true) {
            String seen;
            try {
                seen = asking.askOther();
            } catch (RpcException refused) {
                seen = refused.getCode() + ": " + refused.getMessage();
            }
            if (wanted.test(seen)) {
                System.err.println("ok: " + what);
                return;
            }
            if (System.nanoTime() > deadline) {
                throw new AssertionError("not within " + WITHIN_MS / 1000 + " s: " + what + "; the answer is " + seen);
            }
            Thread.sleep(POLL_MS);
        }
    }

    /** A provider that merely does not answer has another code. */
    private static boolean nobodyIsThere(String seen) {
        return seen.startsWith(RpcException.FORBIDDEN_EXCEPTION + ":")
                || seen.startsWith(RpcException.NO_INVOKER_AVAILABLE_AFTER_FILTER + ":");
    }
}
