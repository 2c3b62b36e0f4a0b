// What a program written with nacos-sdk-go v1 (HTTP, told by UDP) does against a running server.
//
// Commands (the same for every program beside this one, see ../README.md): hold, see, all, watch, own.
// Only the published client speaks to the server here; nothing of it is patched or replaced. The server's address
// comes from MERAK_NACOS. A look is at what the client was told: it has no call that asks the server past its cache,
// which it also renews by itself after 10 s. Start reading at run; the library's own scenario is own.go.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nacos-group/nacos-sdk-go/clients"
	"github.com/nacos-group/nacos-sdk-go/clients/naming_client"
	"github.com/nacos-group/nacos-sdk-go/common/constant"
	"github.com/nacos-group/nacos-sdk-go/model"
	"github.com/nacos-group/nacos-sdk-go/vo"
)

const (
	namespace = "public"
	within    = 30 * time.Second
	poll      = 200 * time.Millisecond
)

// seen is one instance as this client gives it back, in the words all programs here print.
type seen struct {
	IP       string            `json:"ip"`
	Port     uint64            `json:"port"`
	Weight   float64           `json:"weight"`
	Healthy  bool              `json:"healthy"`
	Enabled  bool              `json:"enabled"`
	Metadata map[string]string `json:"metadata"`
	Cluster  string            `json:"cluster"`
}

// told is one line of the command watch.
type told struct {
	AtMs      int64    `json:"at_ms"`
	Instances []string `json:"instances"`
}

func main() {
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(command string, args []string) error {
	switch command {
	case "hold":
		return hold(args)
	case "see", "all":
		client, err := connect(namespace)
		if err != nil {
			return err
		}
		found, err := awaitExactly(client, args[0], args[1:], command == "see")
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(shown(found))
	case "watch":
		return watch(args[0])
	case "own":
		return own()
	default:
		return fmt.Errorf("unknown command %s", command)
	}
}

func connect(namespace string) (naming_client.INamingClient, error) {
	host, text, err := net.SplitHostPort(os.Getenv("MERAK_NACOS"))
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil, err
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, err
	}
	settings := constant.NewClientConfig(
		constant.WithNamespaceId(namespace),
		constant.WithCacheDir(filepath.Join(home, "cache")),
		constant.WithLogDir(filepath.Join(home, "log")),
		constant.WithNotLoadCacheAtStart(true),
		// Else the client keeps its last list when a service has lost all its instances.
		constant.WithUpdateCacheWhenEmpty(true),
	)
	servers := []constant.ServerConfig{*constant.NewServerConfig(host, port)}
	return clients.NewNamingClient(vo.NacosClientParam{ClientConfig: settings, ServerConfigs: servers})
}

// registration reads weight, cluster and disabled; every other pair is metadata.
func registration(service, ip, port string, pairs []string) (vo.RegisterInstanceParam, error) {
	metadata := map[string]string{}
	for _, pair := range pairs {
		key, value, _ := strings.Cut(pair, "=")
		metadata[key] = value
	}
	param := vo.RegisterInstanceParam{
		ServiceName: service,
		Ip:          ip,
		Weight:      1,
		ClusterName: "DEFAULT",
		Enable:      metadata["disabled"] != "true",
		Healthy:     true,
		Ephemeral:   true,
		Metadata:    metadata,
	}
	var err error
	if param.Port, err = strconv.ParseUint(port, 10, 16); err != nil {
		return param, err
	}
	if weight, given := metadata["weight"]; given {
		if param.Weight, err = strconv.ParseFloat(weight, 64); err != nil {
			return param, err
		}
	}
	if cluster, given := metadata["cluster"]; given {
		param.ClusterName = cluster
	}
	for _, own := range []string{"weight", "cluster", "disabled"} {
		delete(metadata, own)
	}
	return param, nil
}

func register(client naming_client.INamingClient, ours vo.RegisterInstanceParam) error {
	yes, err := client.RegisterInstance(ours)
	return acknowledged("a registration is acknowledged", yes, err)
}

func deregister(client naming_client.INamingClient, of vo.RegisterInstanceParam) error {
	yes, err := client.DeregisterInstance(vo.DeregisterInstanceParam{
		ServiceName: of.ServiceName, Ip: of.Ip, Port: of.Port, Cluster: of.ClusterName, Ephemeral: of.Ephemeral,
	})
	return acknowledged("a deregistration is acknowledged", yes, err)
}

// acknowledged makes the two ways in which this client says no into one.
func acknowledged(what string, yes bool, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if !yes {
		return errors.New("not so: " + what)
	}
	ok(what)
	return nil
}

func hold(args []string) error {
	client, err := connect(args[0])
	if err != nil {
		return err
	}
	ours, err := registration(args[1], args[2], args[3], args[4:])
	if err != nil {
		return err
	}
	if err := register(client, ours); err != nil {
		return err
	}
	fmt.Println("held")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	if err := deregister(client, ours); err != nil {
		return err
	}
	fmt.Println("released")
	return nil
}

// watch needs no first look: a subscriber is told at once what is there. That nothing is there is an error to it.
func watch(service string) error {
	client, err := connect(namespace)
	if err != nil {
		return err
	}
	err = client.Subscribe(&vo.SubscribeParam{
		ServiceName: service,
		SubscribeCallback: func(instances []model.SubscribeService, err error) {
			if err != nil {
				fmt.Fprintln(os.Stderr, "told of an error:", err)
			}
			if err := tell(instances); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		},
	})
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func tell(instances []model.SubscribeService) error {
	return json.NewEncoder(os.Stdout).Encode(told{time.Now().UnixMilli(), serving(instances)})
}

// serving has the addresses of those that an application would call, sorted.
func serving(instances []model.SubscribeService) []string {
	list := make([]string, 0, len(instances))
	for _, one := range instances {
		if one.Healthy && one.Enable {
			list = append(list, fmt.Sprintf("%s:%d", one.Ip, one.Port))
		}
	}
	slices.Sort(list)
	return list
}

// listed is sorted by address. That a service is empty is an error to this client, and none here.
func listed(client naming_client.INamingClient, service string, healthyOnly bool) ([]model.Instance, error) {
	var found []model.Instance
	var err error
	if healthyOnly {
		found, err = client.SelectInstances(vo.SelectInstancesParam{ServiceName: service, HealthyOnly: true})
	} else {
		found, err = client.SelectAllInstances(vo.SelectAllInstancesParam{ServiceName: service})
	}
	if err != nil && err.Error() == "instance list is empty!" {
		return nil, nil
	}
	found = slices.Clone(found)
	slices.SortFunc(found, func(a, b model.Instance) int { return strings.Compare(address(a), address(b)) })
	return found, err
}

func address(one model.Instance) string { return fmt.Sprintf("%s:%d", one.Ip, one.Port) }

// addresses is sorted, and never nil, which JSON would say as null.
func addresses(instances []model.Instance) []string {
	list := make([]string, 0, len(instances))
	for _, one := range instances {
		list = append(list, address(one))
	}
	slices.Sort(list)
	return list
}

func shown(instances []model.Instance) []seen {
	list := make([]seen, 0, len(instances))
	for _, one := range instances {
		list = append(list, seen{
			IP: one.Ip, Port: one.Port, Weight: one.Weight, Healthy: one.Healthy, Enabled: one.Enable,
			Metadata: one.Metadata, Cluster: one.ClusterName,
		})
	}
	return list
}

// awaitExactly looks at what the client was told until it is these addresses and no others.
func awaitExactly(
	client naming_client.INamingClient, service string, wanted []string, healthyOnly bool,
) ([]model.Instance, error) {
	wanted = slices.Sorted(slices.Values(wanted))
	deadline := time.Now().Add(within)
	for {
		found, err := listed(client, service, healthyOnly)
		if err == nil && slices.Equal(addresses(found), wanted) {
			return found, nil
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%s: expected %v, saw %v (%w)", service, wanted, found, err)
		}
		time.Sleep(poll)
	}
}

func ok(what string) { fmt.Fprintln(os.Stderr, "ok:", what) }
