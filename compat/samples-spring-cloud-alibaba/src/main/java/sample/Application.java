// One Spring Cloud application: it registers itself, says its name, and asks another application for its name.
// It is started twice, under two names, by Driver.

package sample;

import java.util.List;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.cloud.client.ServiceInstance;
import org.springframework.cloud.client.discovery.DiscoveryClient;
import org.springframework.cloud.client.loadbalancer.LoadBalanced;
import org.springframework.context.annotation.Bean;
import org.springframework.core.env.Environment;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.client.RestTemplate;

@SpringBootApplication
public class Application {
    @Bean
    @LoadBalanced
    RestTemplate byServiceName() {
        return new RestTemplate();
    }

    @RestController
    static class Names {
        private final String name;
        private final RestTemplate byServiceName;
        private final DiscoveryClient discovery;

        Names(Environment environment, RestTemplate byServiceName, DiscoveryClient discovery) {
            this.name = environment.getRequiredProperty("spring.application.name");
            this.byServiceName = byServiceName;
            this.discovery = discovery;
        }

        @GetMapping("/name")
        String name() {
            return name;
        }

        /** What the other application says its name is, called by the name it registered. */
        @GetMapping("/ask/{other}")
        String ask(@PathVariable String other) {
            return byServiceName.getForObject("http://" + other + "/name", String.class);
        }

        @GetMapping("/instances/{other}")
        List<String> instances(@PathVariable String other) {
            return discovery.getInstances(other).stream().map(Names::said).toList();
        }

        private static String said(ServiceInstance instance) {
            return instance.getHost() + ":" + instance.getPort() + " of team " + instance.getMetadata().get("team");
        }
    }
}
