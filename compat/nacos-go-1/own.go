// The scenario of nacos-sdk-go v1 itself: what its calls promise, one after the other.
// Each part has services and addresses of its own. Not here: the commands (main.go). Start reading at own.
package main

import (
	"fmt"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nacos-group/nacos-sdk-go/clients/naming_client"
	"github.com/nacos-group/nacos-sdk-go/model"
	"github.com/nacos-group/nacos-sdk-go/vo"
)

const (
	// The metadata shortens the server's patience, so that being kept alive is seen in seconds.
	longerThanTheDeleteTimeout = 13 * time.Second
	pageSize                   = 1000
)

var hasty = []string{
	"preserved.heart.beat.interval=1000", "preserved.heart.beat.timeout=5000", "preserved.ip.delete.timeout=10000",
}

func own() error {
	client, err := connect(namespace)
	if err != nil {
		return err
	}
	service := fmt.Sprintf("own-go-1-%d", os.Getpid())
	if err := instances(client, service); err != nil {
		return err
	}
	return persistent(client, service+"-persistent")
}

func instances(client naming_client.INamingClient, service string) error {
	var heard atomic.Pointer[[]string]
	subscription := &vo.SubscribeParam{
		ServiceName: service,
		SubscribeCallback: func(told []model.SubscribeService, _ error) {
			list := serving(told)
			heard.Store(&list)
		},
	}
	if err := client.Subscribe(subscription); err != nil {
		return err
	}
	first, err := registration(service, "127.7.0.1", "9001", append([]string{"weight=2.5", "cluster=blue", "note=ü & ="}, hasty...))
	if err != nil {
		return err
	}
	if err := register(client, first); err != nil {
		return err
	}
	found, err := awaitExactly(client, service, []string{"127.7.0.1:9001"}, true)
	if err != nil {
		return err
	}
	one := found[0]
	whole := one.Weight == 2.5 && one.ClusterName == "blue" && one.Healthy && one.Enable && one.Ephemeral &&
		one.Metadata["note"] == "ü & =" && len(one.Metadata) == 1+len(hasty)
	if err := ensure("the list gives back every field", whole, one); err != nil {
		return err
	}
	if err := awaitTold(&heard, "127.7.0.1:9001"); err != nil {
		return err
	}
	second, err := registration(service, "127.7.0.2", "9002", hasty)
	if err != nil {
		return err
	}
	if err := register(client, second); err != nil {
		return err
	}
	if err := awaitTold(&heard, "127.7.0.1:9001", "127.7.0.2:9002"); err != nil {
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
	if err := ensure("one cluster can be asked for", chosen.Ip == "127.7.0.1", chosen); err != nil {
		return err
	}

	time.Sleep(longerThanTheDeleteTimeout)
	found, err = listed(client, service, true)
	if err != nil {
		return err
	}
	alive := slices.Equal(addresses(found), []string{"127.7.0.1:9001", "127.7.0.2:9002"})
	if err := ensure("beats keep instances alive", alive, found); err != nil {
		return err
	}
	if err := deregister(client, second); err != nil {
		return err
	}
	if err := awaitTold(&heard, "127.7.0.1:9001"); err != nil {
		return err
	}
	if err := deregister(client, first); err != nil {
		return err
	}
	if err := awaitTold(&heard); err != nil {
		return err
	}
	return client.Unsubscribe(subscription)
}

// persistent listens at the address, so that a server that looks finds it healthy.
func persistent(client naming_client.INamingClient, service string) error {
	alive, err := net.Listen("tcp", "127.7.2.1:0")
	if err != nil {
		return err
	}
	defer alive.Close()
	_, port, err := net.SplitHostPort(alive.Addr().String())
	if err != nil {
		return err
	}
	lasting, err := registration(service, "127.7.2.1", port, nil)
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

// awaitTold waits until the last that was heard is this.
func awaitTold(heard *atomic.Pointer[[]string], wanted ...string) error {
	deadline := time.Now().Add(within)
	for {
		last := heard.Load()
		if last != nil && slices.Equal(*last, wanted) {
			ok(fmt.Sprintf("a subscriber is told %v", wanted))
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %s: a subscriber is told %v; heard %v", within, wanted, last)
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
