// Two applications register with the server and call each other by name; then one of them leaves.
// `own` is its only command; a line `ok: …` on standard error for each thing made sure of.
// The server's address comes from MERAK_NACOS. Start reading at `main`.

package sample;

import java.util.List;
import java.util.concurrent.Callable;
import org.springframework.boot.builder.SpringApplicationBuilder;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.web.client.RestTemplate;

public final class Driver {
    private static final long WITHIN_MS = 30_000;
    private static final long POLL_MS = 200;
    private static final RestTemplate HTTP = new RestTemplate();

    public static void main(String[] args) throws Exception {
        if (!List.of(args).equals(List.of("own"))) {
            throw new IllegalArgumentException("the command is `own`");
        }
        String offset = System.getenv("MERAK_NACOS_GRPC_OFFSET");
        if (offset != null) {
            System.setProperty("nacos.server.grpc.port.offset", offset);
        }
        String suffix = "-" + ProcessHandle.current().pid();
        String orders = "sample-orders" + suffix;
        String stock = "sample-stock" + suffix;
        ConfigurableApplicationContext first = start(orders);
        ConfigurableApplicationContext second = start(stock);

        await("orders calls stock", stock, () -> get(first, "/ask/" + stock));
        await("stock calls orders", orders, () -> get(second, "/ask/" + orders));
        String address = "127.0.0.1:" + port(second) + " of team a";
        await("orders discovers stock, with its metadata", "[\"" + address + "\"]",
                () -> get(first, "/instances/" + stock));
        second.close();
        await("orders sees stock leave", "[]", () -> get(first, "/instances/" + stock));
        first.close();
        // The client's threads are not all daemons.
        System.exit(0);
    }

    private static ConfigurableApplicationContext start(String name) {
        return new SpringApplicationBuilder(Application.class)
                .properties("spring.application.name=" + name)
                .run();
    }

    private static String port(ConfigurableApplicationContext application) {
        return application.getEnvironment().getRequiredProperty("local.server.port");
    }

    private static String get(ConfigurableApplicationContext application, String path) {
        return HTTP.getForObject("http://127.0.0.1:" + port(application) + path, String.class);
    }

    /** Asks until the answer is the one wanted; the application may not have been told yet. */
    private static void await(String what, String wanted, Callable<String> ask) throws Exception {
        long deadline = System.nanoTime() + WITHIN_MS * 1_000_000;
        while (true) {
            String seen;
            try {
                seen = ask.call();
            } catch (org.springframework.web.client.RestClientException refused) {
                seen = refused.toString();
            }
            if (seen.equals(wanted)) {
                System.err.println("ok: " + what);
                return;
            }
            if (System.nanoTime() > deadline) {
                throw new AssertionError("not within " + WITHIN_MS / 1000 + " s: " + what + "; the answer is " + seen);
            }
            Thread.sleep(POLL_MS);
        }
    }
}
