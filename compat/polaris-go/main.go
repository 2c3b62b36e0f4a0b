// What a program written with polaris-go does against a running server.
//
// Commands (the same for every program beside this one, see ../README.md): hold, see, all, watch, own.
// Only the published client speaks to the server here; nothing of it is patched or replaced.
// The server's address comes from MERAK_POLARIS. Start reading at main.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/polarismesh/polaris-go"
	"github.com/polarismesh/polaris-go/api"
	"github.com/polarismesh/polaris-go/pkg/config"
	"github.com/polarismesh/polaris-go/pkg/model"
)

const (
	namespace = "default"
	seeWithin = 30 * time.Second
	poll      = 200 * time.Millisecond
	// Seconds between heartbeats; the server gives up on an instance after three times that.
	ttlSeconds         = 2
	longerThanThreeTTL = 14 * time.Second
	clusterKey         = "internal-nacos-cluster"
)

// seen is one instance as this client gives it back, in the words all programs here print.
type seen struct {
	IP       string            `json:"ip"`
	Port     uint32            `json:"port"`
	Weight   int               `json:"weight"`
	Healthy  bool              `json:"healthy"`
	Isolated bool              `json:"isolated"`
	Metadata map[string]string `json:"metadata"`
	Cluster  string            `json:"cluster"`
}

func (s seen) address() string { return fmt.Sprintf("%s:%d", s.IP, s.Port) }

func main() {
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(command string, args []string) error {
	context, err := connect()
	if err != nil {
		return err
	}
	defer context.Destroy()
	switch command {
	case "hold":
		return hold(polaris.NewProviderAPIByContext(context), args)
	case "see", "all":
		found, err := awaitExactly(polaris.NewConsumerAPIByContext(context), args[0], args[1:], command == "see")
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(found)
	case "watch":
		return watch(polaris.NewConsumerAPIByContext(context), args[0])
	case "own":
		return own(context)
	default:
		return fmt.Errorf("unknown command %s", command)
	}
}

// settings is the client's own configuration file. What an earlier run saw must not answer for the server, hence
// no cache on disk; a forgotten instance comes back after seconds, not after the 30 that are the client's default.
const settings = `
global:
  serverConnector:
    addresses: [%q]
consumer:
  localCache:
    persistEnable: false
    startUseFileCache: false
    pushEmptyProtection: false
    serviceRefreshInterval: 1s
provider:
  minRegisterInterval: 1s
`

func connect() (api.SDKContext, error) {
	configuration, err := config.LoadConfiguration(fmt.Appendf(nil, settings, os.Getenv("MERAK_POLARIS")))
	if err != nil {
		return nil, err
	}
	return polaris.NewSDKContextByConfig(configuration)
}

// registration reads `weight`, `cluster` and `disabled`; every other pair is metadata.
func registration(space, service, host, port string, pairs []string) (*polaris.InstanceRegisterRequest, error) {
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	ttl, weight, isolated := ttlSeconds, 100, false
	metadata := map[string]string{}
	for _, pair := range pairs {
		key, value, _ := strings.Cut(pair, "=")
		switch key {
		case "weight":
			if weight, err = strconv.Atoi(value); err != nil {
				return nil, err
			}
		case "cluster":
			metadata[clusterKey] = value
		case "disabled":
			isolated = value == "true"
		default:
			metadata[key] = value
		}
	}
	request := &polaris.InstanceRegisterRequest{}
	request.Namespace, request.Service, request.Host, request.Port = space, service, host, number
	request.TTL, request.Weight, request.Isolate, request.Metadata = &ttl, &weight, &isolated, metadata
	return request, nil
}

func deregistration(of *polaris.InstanceRegisterRequest) *polaris.InstanceDeRegisterRequest {
	request := &polaris.InstanceDeRegisterRequest{}
	request.Namespace, request.Service, request.Host, request.Port = of.Namespace, of.Service, of.Host, of.Port
	return request
}

func hold(provider polaris.ProviderAPI, args []string) error {
	request, err := registration(args[0], args[1], args[2], args[3], args[4:])
	if err != nil {
		return err
	}
	if _, err := provider.RegisterInstance(request); err != nil {
		return err
	}
	fmt.Println("held")
	if _, err := io.ReadAll(os.Stdin); err != nil {
		return err
	}
	if err := provider.Deregister(deregistration(request)); err != nil {
		return err
	}
	fmt.Println("released")
	return nil
}

// watcher prints a line for each list that it is told; the client tells each on a goroutine of its own.
type watcher struct{ mutex sync.Mutex }

func (w *watcher) OnInstancesUpdate(told *model.InstancesResponse) {
	serving := []string{}
	for _, instance := range told.Instances {
		if instance.IsHealthy() && !instance.IsIsolated() {
			serving = append(serving, fmt.Sprintf("%s:%d", instance.GetHost(), instance.GetPort()))
		}
	}
	slices.Sort(serving)
	w.mutex.Lock()
	defer w.mutex.Unlock()
	line := map[string]any{"at_ms": time.Now().UnixMilli(), "instances": serving}
	if err := json.NewEncoder(os.Stdout).Encode(line); err != nil {
		panic(err)
	}
}

func watch(consumer polaris.ConsumerAPI, service string) error {
	told := &watcher{}
	request := &polaris.WatchAllInstancesRequest{}
	request.Namespace, request.Service = namespace, service
	request.WatchMode, request.InstancesListener = model.WatchModeNotify, told
	answer, err := consumer.WatchAllInstances(request)
	if err != nil {
		return err
	}
	told.OnInstancesUpdate(answer.InstancesResponse())
	_, err = io.ReadAll(os.Stdin)
	return err
}

// listed asks the way an application does before a call (callable: routed, so neither isolated nor unhealthy
// instances) or for everything there is. A service that is not there has no instances.
func listed(consumer polaris.ConsumerAPI, service string, callable bool) ([]seen, error) {
	var response *model.InstancesResponse
	var err error
	if callable {
		request := &polaris.GetInstancesRequest{}
		request.Namespace, request.Service = namespace, service
		response, err = consumer.GetInstances(request)
	} else {
		request := &polaris.GetAllInstancesRequest{}
		request.Namespace, request.Service = namespace, service
		response, err = consumer.GetAllInstances(request)
	}
	var coded model.SDKError
	if errors.As(err, &coded) && coded.ErrorCode() == model.ErrCodeServiceNotFound {
		return []seen{}, nil
	}
	if err != nil {
		return nil, err
	}
	found := []seen{}
	for _, instance := range response.Instances {
		// Where nobody is healthy this client lists everybody, better than nobody.
		if callable && !instance.IsHealthy() {
			continue
		}
		found = append(found, seen{
			IP: instance.GetHost(), Port: instance.GetPort(), Weight: instance.GetWeight(),
			Healthy: instance.IsHealthy(), Isolated: instance.IsIsolated(),
			Metadata: instance.GetMetadata(), Cluster: instance.GetMetadata()[clusterKey],
		})
	}
	slices.SortFunc(found, func(a, b seen) int { return strings.Compare(a.address(), b.address()) })
	return found, nil
}

// awaitExactly polls the client's list until it holds these addresses and no others.
func awaitExactly(consumer polaris.ConsumerAPI, service string, addresses []string, callable bool) ([]seen, error) {
	wanted := slices.Sorted(slices.Values(addresses))
	deadline := time.Now().Add(seeWithin)
	for {
		found, err := listed(consumer, service, callable)
		var addressesFound []string
		for _, instance := range found {
			addressesFound = append(addressesFound, instance.address())
		}
		if err == nil && slices.Equal(addressesFound, wanted) {
			return found, nil
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%s: expected %v, saw %v, error %v", service, wanted, found, err)
		}
		time.Sleep(poll)
	}
}

func ensure(what string, isSo bool, detail any) error {
	if !isSo {
		return fmt.Errorf("not so: %s %+v", what, detail)
	}
	fmt.Fprintln(os.Stderr, "ok:", what)
	return nil
}

// own is this client's scenario: each step is named by what it ensures.
func own(context api.SDKContext) error {
	provider, consumer := polaris.NewProviderAPIByContext(context), polaris.NewConsumerAPIByContext(context)
	service := fmt.Sprintf("own-go-%d", os.Getpid())
	first, err := registration(namespace, service, "127.4.0.1", "9001", []string{"weight=250", "cluster=blue", "team=a", "note=ü & ="})
	if err != nil {
		return err
	}
	second, err := registration(namespace, service, "127.4.0.2", "9002", []string{"team=b"})
	if err != nil {
		return err
	}
	silent, err := registration(namespace, service, "127.4.0.3", "9003", nil)
	if err != nil {
		return err
	}
	late, err := registration(namespace, service, "127.4.0.4", "9004", nil)
	if err != nil {
		return err
	}
	both := []string{"127.4.0.1:9001", "127.4.0.2:9002"}
	all := append(slices.Clone(both), "127.4.0.3:9003")

	answer, err := provider.RegisterInstance(first)
	if err != nil {
		return err
	}
	if err := ensure("a registration gives an id", len(answer.InstanceID) == 40, answer); err != nil {
		return err
	}
	found, err := awaitExactly(consumer, service, both[:1], true)
	if err != nil {
		return err
	}
	expected := seen{
		IP: "127.4.0.1", Port: 9001, Weight: 250, Healthy: true, Cluster: "blue",
		Metadata: map[string]string{clusterKey: "blue", "team": "a", "note": "ü & ="},
	}
	plain := found[0]
	plain.Metadata = expected.Metadata
	if err := ensure("the list gives back every field", fmt.Sprint(plain) == fmt.Sprint(expected), found); err != nil {
		return err
	}
	// The server may add pairs of its own: version, protocol, location.
	maps.DeleteFunc(found[0].Metadata, func(key, _ string) bool { return expected.Metadata[key] == "" })
	if err := ensure("and the metadata", maps.Equal(found[0].Metadata, expected.Metadata), found); err != nil {
		return err
	}

	if _, err := provider.RegisterInstance(second); err != nil {
		return err
	}
	if _, err := provider.Register(silent); err != nil {
		return err
	}
	if _, err := awaitExactly(consumer, service, all, false); err != nil {
		return err
	}
	if err := ensure("several instances are listed", true, nil); err != nil {
		return err
	}
	if _, err := awaitExactly(consumer, service, both, true); err != nil {
		return err
	}
	if err := ensure("one that sends no heartbeat is not called", true, nil); err != nil {
		return err
	}
	time.Sleep(longerThanThreeTTL)
	found, err = listed(consumer, service, true)
	if err != nil {
		return err
	}
	if err := ensure("heartbeats keep the others alive", len(found) == 2, found); err != nil {
		return err
	}
	if _, err := awaitExactly(consumer, service, all, false); err != nil {
		return err
	}
	if err := ensure("the silent one is kept, unhealthy", true, nil); err != nil {
		return err
	}

	single := &polaris.GetOneInstanceRequest{}
	single.Namespace, single.Service = namespace, service
	one, err := consumer.GetOneInstance(single)
	if err != nil {
		return err
	}
	if err := ensure("one of them can be picked for a call", len(one.Instances) == 1 && one.Instances[0].IsHealthy(), one); err != nil {
		return err
	}

	every := &polaris.GetServicesRequest{}
	every.Namespace = namespace
	services, err := consumer.GetServices(every)
	if err != nil {
		return err
	}
	is := func(known *model.ServiceKey) bool { return known.Service == service }
	if err := ensure("the service is in the list of services", slices.ContainsFunc(services.GetValue(), is), services); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "can: services")

	// Somebody else removes it: its heartbeats fail, and after some of them the client registers again.
	if _, err := provider.RegisterInstance(late); err != nil {
		return err
	}
	if err := forget(late); err != nil {
		return err
	}
	if _, err := awaitExactly(consumer, service, append(slices.Clone(both), "127.4.0.4:9004"), true); err != nil {
		return err
	}
	if err := ensure("an instance that the server forgot comes back", true, nil); err != nil {
		return err
	}

	for _, registered := range []*polaris.InstanceRegisterRequest{first, second, silent, late} {
		if err := provider.Deregister(deregistration(registered)); err != nil {
			return err
		}
	}
	if _, err := awaitExactly(consumer, service, nil, false); err != nil {
		return err
	}
	return ensure("after deregistering nothing is listed", true, nil)
}

// forget deregisters through a client of its own and waits until heartbeats of that instance are refused.
func forget(instance *polaris.InstanceRegisterRequest) error {
	context, err := connect()
	if err != nil {
		return err
	}
	defer context.Destroy()
	provider := polaris.NewProviderAPIByContext(context)
	if err := provider.Deregister(deregistration(instance)); err != nil {
		return err
	}
	heartbeat := &polaris.InstanceHeartbeatRequest{}
	heartbeat.Namespace, heartbeat.Service, heartbeat.Host, heartbeat.Port =
		instance.Namespace, instance.Service, instance.Host, instance.Port
	for deadline := time.Now().Add(seeWithin); provider.Heartbeat(heartbeat) == nil; time.Sleep(poll) {
		if time.Now().After(deadline) {
			return ensure("a heartbeat of a forgotten instance is refused", false, heartbeat)
		}
	}
	return ensure("a heartbeat of a forgotten instance is refused", true, nil)
}
