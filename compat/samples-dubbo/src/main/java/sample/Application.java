// One Dubbo application: it serves its name, registers as an application and by its interface, and refers to another
// application's name, found in the way that it is told. It is started under several names by Driver.

package sample;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.ServerSocket;
import java.util.Map;
import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.ProtocolConfig;
import org.apache.dubbo.config.ReferenceConfig;
import org.apache.dubbo.config.RegistryConfig;
import org.apache.dubbo.config.ServiceConfig;
import org.apache.dubbo.config.bootstrap.DubboBootstrap;
import org.apache.dubbo.rpc.model.FrameworkModel;

final class Application implements AutoCloseable {
    /** How Dubbo 3 finds a provider: by the application's name, or as Dubbo 2 did by the interface's. */
    enum Found { BY_APPLICATION, BY_INTERFACE }

    private final FrameworkModel framework = new FrameworkModel();
    private final ReferenceConfig<Names> other = new ReferenceConfig<>();

    Application(String name, String otherName, Found found) {
        ServiceConfig<Names> served = new ServiceConfig<>();
        served.setInterface(Names.class);
        served.setGroup(name);
        served.setRef(() -> name);

        other.setInterface(Names.class);
        other.setGroup(otherName);
        other.setProvidedBy(otherName);
        // The other may start later; that is what the registry is for.
        other.setCheck(false);
        other.setParameters(Map.of("migration.step",
                found == Found.BY_APPLICATION ? "FORCE_APPLICATION" : "FORCE_INTERFACE"));

        DubboBootstrap.getInstance(framework.newApplication())
                .application(new ApplicationConfig(name))
                .registry(registry())
                .protocol(new ProtocolConfig("dubbo", freePort()))
                .service(served)
                .reference(other)
                .start();
    }

    private static RegistryConfig registry() {
        RegistryConfig registry = new RegistryConfig("nacos://" + System.getenv("MERAK_NACOS"));
        registry.setRegisterMode("all");
        // The registry is what is looked at; configuration and metadata have places of their own.
        registry.setUseAsConfigCenter(false);
        registry.setUseAsMetadataCenter(false);
        return registry;
    }

    private static int freePort() {
        try (ServerSocket free = new ServerSocket(0)) {
            return free.getLocalPort();
        } catch (IOException none) {
            throw new UncheckedIOException(none);
        }
    }

    String askOther() {
        return other.get().name();
    }

    @Override
    public void close() {
        framework.destroy();
    }
}
