// The scenario of nacos-sdk-go v2 itself: what its calls promise, one after the other.
// Each part has services and addresses of its own. Not here: the commands (main.go). Start reading at own.
package main

import (
	"fmt"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nacos-group/nacos-sdk-go/v2/clients/naming_client"
	"github.com/nacos-group/nacos-sdk-go/v2/model"
	"github.com/nacos-group/nacos-sdk-go/v2/vo"
)

const (
	// Nacos drops a connection that is silent for 20 s; this client asks for its health every 5 s.
	longerThanASilentConnectionLives = 25 * time.Second
	pageSize                         = 1000
)

func own() error {
	client, err := connect(namespace)
	if err != nil {
		return err
	}
	defer client.CloseClient()
	if err := ensure("the client says that the server is up", client.ServerHealthy(), nil); err != nil {
		return err
	}
	service := fmt.Sprintf("own-go-2-%d", os.Getpid())
	for _, part := range []func(naming_client.INamingClient, string) error{instances, batch, persistent} {
		if err := part(client, service); err != nil {
			return err
		}
	}
	return nil
}

func instances(client naming_client.INamingClient, service string) error {
	var heard atomic.Pointer[[]model.Instance]
	subscription := &vo.SubscribeParam{
		ServiceName: service,
		SubscribeCallback: func(told []model.Instance, err error) {
			if err == nil {
				heard.Store(&told)
			}
		},
	}
	if err := client.Subscribe(subscription); err != nil {
		return err
	}
	first, err := registration(service, "127.5.0.1", "9001", []string{"weight=2.5", "cluster=blue", "team=a", "note=ü & ="})
	if err != nil {
		return err
	}
	if err := register(client, first); err != nil {
		return err
	}
	found, err := awaitExactly(client, service, []string{"127.5.0.1:9001"}, true)
	if err != nil {
		return err
	}
	one := found[0]
	whole := one.Weight == 2.5 && one.ClusterName == "blue" && one.Healthy && one.Enable && one.Ephemeral &&
		one.Metadata["team"] == "a" && one.Metadata["note"] == "ü & =" && len(one.Metadata) == 2
	if err := ensure("the list gives back every field", whole, one); err != nil {
		return err
	}
	if err := awaitTold(&heard, "127.5.0.1:9001"); err != nil {
		return err
	}

	// A client has one instance a service, so the second is another client's.
	other, err := connect(namespace)
	if err != nil {
		return err
	}
	defer other.CloseClient()
	second, err := registration(service, "127.5.0.2", "9002", []string{"team=b"})
	if err != nil {
		return err
	}
	if err := register(other, second); err != nil {
		return err
	}
	if err := awaitTold(&heard, "127.5.0.1:9001", "127.5.0.2:9002"); err != nil {
		return err
	}
	second.Weight, second.Metadata = 7, map[string]string{"team": "c"}
	yes, err := other.UpdateInstance(vo.UpdateInstanceParam(second))
	if err := acknowledged("an update is acknowledged", yes, err); err != nil {
		return err
	}
	err = await("an update is told", &heard, func(told []model.Instance) bool {
		return slices.ContainsFunc(told, func(one model.Instance) bool {
			return one.Port == 9002 && one.Weight == 7 && one.Metadata["team"] == "c"
		})
	})
	if err != nil {
		return err
	}
	services, err := client.GetAllServicesInfo(vo.GetAllServiceInfoParam{PageNo: 1, PageSize: pageSize})
	if err != nil {
		return err
	}
	if err := ensure("the service is in the list of services", slices.Contains(services.Doms, service), services); err != nil {
		return err
	}
	can("services")
	chosen, err := client.SelectOneHealthyInstance(vo.SelectOneHealthInstanceParam{ServiceName: service, Clusters: []string{"blue"}})
	if err != nil {
		return err
	}
	if err := ensure("one cluster can be asked for", address(*chosen) == "127.5.0.1:9001", chosen); err != nil {
		return err
	}

	time.Sleep(longerThanASilentConnectionLives)
	found, err = listed(client, service, true)
	if err != nil {
		return err
	}
	alive := slices.Equal(addresses(found), []string{"127.5.0.1:9001", "127.5.0.2:9002"})
	if err := ensure("living clients keep their instances", alive, found); err != nil {
		return err
	}
	other.CloseClient()
	if err := awaitTold(&heard, "127.5.0.1:9001"); err != nil {
		return err
	}
	ok("a closed connection takes its instance along")
	if err := deregister(client, first); err != nil {
		return err
	}
	if err := awaitTold(&heard); err != nil {
		return err
	}
	return client.Unsubscribe(subscription)
}

// batch registers several instances by one call. This client has none that takes some of them away.
func batch(client naming_client.INamingClient, service string) error {
	service += "-batch"
	var every []vo.RegisterInstanceParam
	for _, port := range []string{"9001", "9002", "9003"} {
		one, err := registration(service, "127.5.1.1", port, []string{"port=" + port})
		if err != nil {
			return err
		}
		every = append(every, one)
	}
	yes, err := client.BatchRegisterInstance(vo.BatchRegisterInstanceParam{ServiceName: service, Instances: every})
	if err := acknowledged("a batch is acknowledged", yes, err); err != nil {
		return err
	}
	found, err := awaitExactly(client, service, []string{"127.5.1.1:9001", "127.5.1.1:9002", "127.5.1.1:9003"}, true)
	if err != nil {
		return err
	}
	for _, one := range found {
		if err := ensure("a batch keeps what each is", one.Metadata["port"] == fmt.Sprint(one.Port), one); err != nil {
			return err
		}
	}
	can("batch")
	return nil
}

// persistent listens at the address, so that a server that looks finds it healthy.
func persistent(client naming_client.INamingClient, service string) error {
	service += "-persistent"
	alive, err := net.Listen("tcp", "127.5.2.1:0")
	if err != nil {
		return err
	}
	defer alive.Close()
	_, port, err := net.SplitHostPort(alive.Addr().String())
	if err != nil {
		return err
	}
	lasting, err := registration(service, "127.5.2.1", port, nil)
	if err != nil {
		return err
	}
	lasting.Ephemeral = false
	if err := register(client, lasting); err != nil {
		return err
	}
	found, err := awaitExactly(client, service, []string{alive.Addr().String()}, true)
	if err != nil {
		return err
	}
	if err := ensure("a persistent instance is listed as such", !found[0].Ephemeral, found); err != nil {
		return err
	}
	if err := deregister(client, lasting); err != nil {
		return err
	}
	if _, err := awaitExactly(client, service, nil, false); err != nil {
		return err
	}
	can("persistent")
	return nil
}

func awaitTold(heard *atomic.Pointer[[]model.Instance], wanted ...string) error {
	return await(fmt.Sprintf("a subscriber is told %v", wanted), heard, func(told []model.Instance) bool {
		return slices.Equal(addresses(told), wanted)
	})
}

// await waits until the last that was heard is enough.
func await(what string, heard *atomic.Pointer[[]model.Instance], enough func([]model.Instance) bool) error {
	deadline := time.Now().Add(within)
	for {
		last := heard.Load()
		if last != nil && enough(*last) {
			ok(what)
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %s: %s; heard %v", within, what, last)
		}
		time.Sleep(poll)
	}
}

func ensure(what string, isSo bool, detail any) error {
	if !isSo {
		return fmt.Errorf("not so: %s: %v", what, detail)
	}
	ok(what)
	return nil
}

// can prints a line that the table of what works is made from.
func can(feature string) { fmt.Fprintln(os.Stderr, "can:", feature) }
