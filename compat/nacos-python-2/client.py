"""What a program written with nacos-sdk-python 2.x and 3.x (asyncio, gRPC) does against a running server.

Commands (the same for every program beside this one, see ../README.md): hold, see, all, watch, own.
Only the published client speaks to the server here; nothing of it is patched or replaced.
The server's address comes from MERAK_NACOS; this client finds gRPC 1000 ports above it. It writes its log
and its cache below the home directory. Start reading at `main`.
"""

import asyncio
import json
import os
import sys
import time

from v2.nacos import (
    BatchRegisterInstanceParam,
    ClientConfigBuilder,
    DeregisterInstanceParam,
    ListInstanceParam,
    ListServiceParam,
    NacosNamingService,
    RegisterInstanceParam,
    SubscribeServiceParam,
)

NAMESPACE = "public"
WITHIN_S = 30
POLL_S = 0.2
# Nacos drops a connection that is silent for 20 s; this client asks for its health every 5 s.
LONGER_THAN_A_SILENT_CONNECTION_LIVES_S = 25
PAGE = 1000


async def connect(namespace=NAMESPACE):
    config = ClientConfigBuilder().server_address(os.environ["MERAK_NACOS"]).namespace_id(namespace).build()
    config.set_cache_dir(os.path.expanduser("~/cache")).set_log_dir(os.path.expanduser("~/log"))
    # Else the client keeps its last list when a service has lost all its instances.
    config.update_cache_when_empty = True
    return await NacosNamingService.create_naming_service(config)


def instance(service, ip, port, *pairs):
    """`weight`, `cluster` and `disabled` are the instance's own; every other pair is metadata."""
    given = dict(pair.split("=", 1) for pair in pairs)
    return RegisterInstanceParam(
        service_name=service,
        ip=ip,
        port=int(port),
        weight=float(given.pop("weight", "1.0")),
        cluster_name=given.pop("cluster", "DEFAULT"),
        enabled=given.pop("disabled", "false") != "true",
        metadata=given,
    )


def leaving(of):
    return DeregisterInstanceParam(
        service_name=of.service_name, ip=of.ip, port=of.port, cluster_name=of.cluster_name, ephemeral=of.ephemeral
    )


async def input_closed():
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def hold(namespace, service, ip, port, *pairs):
    client, ours = await connect(namespace), instance(service, ip, port, *pairs)
    ensure("the registration is acknowledged", await client.register_instance(ours))
    print("held", flush=True)
    await input_closed()
    ensure("the deregistration is acknowledged", await client.deregister_instance(leaving(ours)))
    print("released", flush=True)
    await client.shutdown()


async def watch(service):
    """The first line is asked for, so that it comes also where there is nothing to be told of."""
    client = await connect()

    async def tell(hosts):
        serving = sorted(address(host) for host in hosts if host.healthy and host.enabled)
        print(json.dumps({"at_ms": time.time_ns() // 1_000_000, "instances": serving}), flush=True)

    now = ListInstanceParam(service_name=service, subscribe=False, healthy_only=None)
    await tell(await client.list_instances(now))
    await client.subscribe(SubscribeServiceParam(service_name=service, subscribe_callback=tell))
    await input_closed()
    await client.shutdown()


def address(host):
    return f"{host.ip}:{host.port}"


async def listed(client, service, healthy_only):
    wanted = True if healthy_only else None
    hosts = await client.list_instances(ListInstanceParam(service_name=service, healthy_only=wanted))
    return sorted(hosts, key=address)


def shown(host):
    return {
        "ip": host.ip,
        "port": host.port,
        "weight": host.weight,
        "healthy": host.healthy,
        "enabled": host.enabled,
        "metadata": host.metadata,
        "cluster": host.clusterName,
    }


async def await_exactly(client, service, addresses, healthy_only=True):
    """Looks at what the client is told until it is these addresses and no others."""
    seen = []

    async def is_so():
        seen[:] = await listed(client, service, healthy_only)
        return [address(host) for host in seen] == sorted(addresses)

    await await_that(f"{service} is {sorted(addresses)}", is_so, seen)
    return seen


async def await_that(what, is_so, seen):
    deadline = time.monotonic() + WITHIN_S
    while not await is_so():
        if time.monotonic() > deadline:
            sys.exit(f"not within {WITHIN_S} s: {what}; saw {seen}")
        await asyncio.sleep(POLL_S)


def ensure(what, is_so, detail=""):
    if not is_so:
        sys.exit(f"not so: {what} {detail}")
    print(f"ok: {what}", file=sys.stderr, flush=True)


def can(feature):
    """A line that the table of what works is made from."""
    print(f"can: {feature}", file=sys.stderr, flush=True)


async def own():
    client, service = await connect(), f"own-python-2-{os.getpid()}"
    ensure("the client says that the server is up", await client.server_health())
    await instances(client, service)
    await batch(client, f"{service}-batch")
    await persistent(client, f"{service}-persistent")
    await client.shutdown()


async def instances(client, service):
    told = []

    async def tell(hosts):
        told[:] = sorted(address(host) for host in hosts)

    async def await_told(addresses):
        async def is_so():
            return told == addresses

        await await_that(f"a subscriber is told {addresses}", is_so, told)
        ensure(f"a subscriber is told {addresses}", True)

    subscription = SubscribeServiceParam(service_name=service, subscribe_callback=tell)
    await client.subscribe(subscription)
    first = instance(service, "127.4.0.1", 9001, "weight=2.5", "cluster=blue", "team=a", "note=ü & =")
    ensure("a registration is acknowledged", await client.register_instance(first))
    [host] = await await_exactly(client, service, ["127.4.0.1:9001"])
    expected = {
        "ip": "127.4.0.1", "port": 9001, "weight": 2.5, "healthy": True, "enabled": True,
        "metadata": {"team": "a", "note": "ü & ="}, "cluster": "blue",
    }
    ensure("the list gives back every field", shown(host) == expected, f"{shown(host)} is not {expected}")
    await await_told(["127.4.0.1:9001"])

    # A client has one instance a service, so the second is another client's.
    other = await connect()
    second = instance(service, "127.4.0.2", 9002, "team=b")
    await other.register_instance(second)
    await await_exactly(client, service, ["127.4.0.1:9001", "127.4.0.2:9002"])
    await await_told(["127.4.0.1:9001", "127.4.0.2:9002"])

    second.weight, second.metadata = 7.0, {"team": "c"}
    ensure("an update is acknowledged", await other.update_instance(second))

    async def is_updated():
        host = (await listed(client, service, True))[1]
        return host.weight == 7.0 and host.metadata == {"team": "c"}

    await await_that("an update is seen", is_updated, told)
    ensure("an update is seen", True)

    found = await client.list_services(ListServiceParam(page_no=1, page_size=PAGE))
    ensure("the service is in the list of services", service in found.services, found)
    can("services")
    # Not by get_service, which shrinks the client's own cache to what it was asked for.
    of_cluster = ListInstanceParam(service_name=service, clusters=["blue"], healthy_only=True)
    blue = [address(host) for host in await client.list_instances(of_cluster)]
    ensure("one cluster can be asked for", blue == ["127.4.0.1:9001"], blue)

    await asyncio.sleep(LONGER_THAN_A_SILENT_CONNECTION_LIVES_S)
    alive = [address(host) for host in await listed(client, service, True)]
    ensure("living clients keep their instances", alive == ["127.4.0.1:9001", "127.4.0.2:9002"], alive)

    await other.shutdown()
    await await_told(["127.4.0.1:9001"])
    ensure("a closed connection takes its instance along", True)
    ensure("a deregistration is acknowledged", await client.deregister_instance(leaving(first)))
    await await_told([])
    await client.unsubscribe(subscription)


async def batch(client, service):
    every = [instance(service, f"127.4.1.{number}", 9000 + number, f"number={number}") for number in (1, 2, 3)]
    addresses = [f"{one.ip}:{one.port}" for one in every]
    both = BatchRegisterInstanceParam(service_name=service, instances=every)
    ensure("a batch is acknowledged", await client.batch_register_instances(both))
    seen = await await_exactly(client, service, addresses)
    ensure("a batch keeps what each is", [host.metadata["number"] for host in seen] == ["1", "2", "3"], seen)
    some = BatchRegisterInstanceParam(service_name=service, instances=every[1:2])
    await client.batch_deregister_instances(some)
    await await_exactly(client, service, [addresses[0], addresses[2]])
    ensure("some of a batch can be deregistered", True)
    can("batch")


async def persistent(client, service):
    """Something listens at the address, so that a server that looks finds it healthy."""
    alive = await asyncio.start_server(lambda _, writer: writer.close(), "127.4.2.1", 0)
    port = alive.sockets[0].getsockname()[1]
    lasting = instance(service, "127.4.2.1", port, "team=d")
    lasting.ephemeral = False
    ensure("a persistent instance is acknowledged", await client.register_instance(lasting))
    [host] = await await_exactly(client, service, [f"127.4.2.1:{port}"])
    ensure("a persistent instance is listed as such", not host.ephemeral, host)
    await client.deregister_instance(leaving(lasting))
    await await_exactly(client, service, [], healthy_only=False)
    ensure("and gone when it is deregistered", True)
    can("persistent")
    alive.close()


async def main(command, *rest):
    if command == "hold":
        await hold(*rest)
    elif command in ("see", "all"):
        service, *addresses = rest
        client = await connect()
        seen = await await_exactly(client, service, addresses, command == "see")
        print(json.dumps([shown(host) for host in seen]), flush=True)
        await client.shutdown()
    elif command == "watch":
        await watch(*rest)
    elif command == "own":
        await own()
    else:
        sys.exit(f"unknown command {command}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
    # The client's own tasks may outlive its shutdown.
    sys.stdout.flush()
    os._exit(0)
