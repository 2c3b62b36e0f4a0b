"""What a program written with nacos-sdk-python 0.1.x does against a running server.

Commands (the same for every program beside this one, see ../README.md): hold, see, all, watch, own.
Only the published client speaks to the server here; nothing of it is patched or replaced.
The server's address comes from MERAK_NACOS. Start reading at `main`.
"""

import json
import os
import socket
import sys
import time

import nacos
import nacos.listener

NAMESPACE = "public"
SEE_WITHIN_S = 30
# `own` shortens the server's patience by metadata, so that being kept alive is seen in seconds.
HASTY = {
    "preserved.heart.beat.interval": "1000",
    "preserved.heart.beat.timeout": "5000",
    "preserved.ip.delete.timeout": "10000",
}
BEAT_EVERY_S = 1
LOOK_EVERY_S = 1
LONGER_THAN_THE_DELETE_TIMEOUT_S = 13
# What the server answers to a beat it has taken.
BEAT_TAKEN = 10200


def connect(namespace=NAMESPACE):
    return nacos.NacosClient(os.environ["MERAK_NACOS"], namespace=namespace)


def options(pairs):
    """`weight`, `cluster` and `disabled` are the instance's own; every other pair is metadata."""
    given = dict(pair.split("=", 1) for pair in pairs)
    return {
        "weight": float(given.pop("weight", "1.0")),
        "cluster_name": given.pop("cluster", "DEFAULT"),
        "enable": given.pop("disabled", "false") != "true",
        "metadata": given,
    }


def hold(namespace, service, ip, port, *pairs):
    client, given = connect(namespace), options(pairs)
    taken = client.add_naming_instance(service, ip, int(port), heartbeat_interval=5, **given)
    ensure("the registration is acknowledged", taken)
    print("held", flush=True)
    sys.stdin.read()
    gone = client.remove_naming_instance(service, ip, int(port), given["cluster_name"])
    ensure("the deregistration is acknowledged", gone)
    print("released", flush=True)


def watch(service):
    """This client is not pushed to: it lists every second, and tells of one instance at a time what became of it.

    Of what is there at its first look it tells nothing, or too little; that is asked for.
    """
    client = connect()
    serving = {}

    def tell():
        addresses = sorted(address(host) for host in serving.values())
        print(json.dumps({"at_ms": time.time_ns() // 1_000_000, "instances": addresses}), flush=True)

    def listener(event, told):
        host = told.instance
        if event == nacos.listener.Event.DELETED or not (host["healthy"] and host["enabled"]):
            serving.pop(address(host), None)
        else:
            serving[address(host)] = host
        tell()

    for host in client.list_naming_instance(service, healthy_only=True)["hosts"]:
        serving[address(host)] = host
    tell()
    client.subscribe(nacos.listener.SubscribeListener(listener, "watch"), LOOK_EVERY_S, service)
    sys.stdin.read()
    client.stop_subscribe()


def address(host):
    return f"{host['ip']}:{host['port']}"


def listed(client, service, healthy_only):
    hosts = client.list_naming_instance(service, healthy_only=healthy_only)["hosts"]
    return sorted(
        (
            {
                "ip": host["ip"],
                "port": host["port"],
                "weight": host["weight"],
                "healthy": host["healthy"],
                "enabled": host["enabled"],
                "metadata": host["metadata"],
                "cluster": host["clusterName"],
            }
            for host in hosts
        ),
        key=address,
    )


def await_exactly(client, service, addresses, healthy_only=True):
    """Polls the client's list until it holds these addresses and no others."""
    deadline = time.monotonic() + SEE_WITHIN_S
    while True:
        seen = listed(client, service, healthy_only)
        if [address(host) for host in seen] == sorted(addresses):
            return seen
        if time.monotonic() > deadline:
            sys.exit(f"{service}: expected {sorted(addresses)}, saw {json.dumps(seen)}")
        time.sleep(0.2)


def ensure(what, is_so, detail=""):
    if not is_so:
        sys.exit(f"not so: {what} {detail}")
    print(f"ok: {what}", file=sys.stderr, flush=True)


def own():
    client, service = connect(), f"own-python-{os.getpid()}"
    ours = {"metadata": {"team": "a", "note": "ü & =", **HASTY}, "cluster_name": "blue", "weight": 2.5}
    taken = client.add_naming_instance(service, "127.1.0.1", 9001, heartbeat_interval=BEAT_EVERY_S, **ours)
    ensure("a registration is acknowledged", taken)
    [host] = await_exactly(client, service, ["127.1.0.1:9001"])
    expected = {
        "ip": "127.1.0.1", "port": 9001, "weight": 2.5, "healthy": True,
        "enabled": True, "metadata": ours["metadata"], "cluster": "blue",
    }
    ensure("the list gives back every field", host == expected, f"{host} is not {expected}")

    client.add_naming_instance(service, "127.1.0.2", 9002, metadata=HASTY, heartbeat_interval=BEAT_EVERY_S)
    # Nothing beats for the third one, so it is first unhealthy, then gone.
    client.add_naming_instance(service, "127.1.0.3", 9003, metadata=HASTY)
    await_exactly(client, service, ["127.1.0.1:9001", "127.1.0.2:9002", "127.1.0.3:9003"])
    ensure("several instances are listed", True)
    await_exactly(client, service, ["127.1.0.1:9001", "127.1.0.2:9002"])
    ensure("a healthy-only list leaves out the silent one", True)
    await_exactly(client, service, ["127.1.0.1:9001", "127.1.0.2:9002"], healthy_only=False)
    ensure("the silent one is removed in the end", True)

    time.sleep(LONGER_THAN_THE_DELETE_TIMEOUT_S)
    healthy = [host["ip"] for host in listed(client, service, healthy_only=True)]
    ensure("beats keep an instance alive", healthy == ["127.1.0.1", "127.1.0.2"], healthy)

    changed = client.modify_naming_instance(service, "127.1.0.2", 9002, weight=7.0, metadata={"team": "b", **HASTY})
    ensure("an update is acknowledged", changed)
    host = await_exactly(client, service, ["127.1.0.1:9001", "127.1.0.2:9002"])[1]
    ensure("an update is seen", host["weight"] == 7.0 and host["metadata"]["team"] == "b", host)
    found = client.get_naming_instance(service, "127.1.0.1", 9001, "blue")
    ensure("a single instance is found", found["ip"] == "127.1.0.1" and found["port"] == 9001, found)

    answer = client.send_heartbeat(service, "127.1.0.4", 9004, "green", 3.0, {"team": "c"})
    ensure("a beat of an unknown instance is taken", answer["code"] == BEAT_TAKEN, answer)
    three = ["127.1.0.1:9001", "127.1.0.2:9002", "127.1.0.4:9004"]
    host = await_exactly(client, service, three)[2]
    ensure(
        "and re-creates it whole",
        (host["weight"], host["metadata"], host["cluster"]) == (3.0, {"team": "c"}, "green"),
        host,
    )

    for ip, port, cluster in [("127.1.0.1", 9001, "blue"), ("127.1.0.2", 9002, None), ("127.1.0.4", 9004, "green")]:
        ensure(f"{ip} is deregistered", client.remove_naming_instance(service, ip, port, cluster))
    await_exactly(client, service, [], healthy_only=False)
    ensure("and gone from the list", True)
    persistent(client, f"{service}-persistent")


def persistent(client, service):
    """Something listens at the address, so that a server that looks finds it healthy."""
    with socket.create_server(("127.1.1.1", 0)) as alive:
        port = alive.getsockname()[1]
        taken = client.add_naming_instance(service, "127.1.1.1", port, ephemeral=False)
        ensure("a persistent instance is acknowledged", taken)
        await_exactly(client, service, [f"127.1.1.1:{port}"])
        found = client.list_naming_instance(service)["hosts"]
        ensure("a persistent instance is listed as such", found[0]["ephemeral"] is False, found)
        ensure("it is deregistered", client.remove_naming_instance(service, "127.1.1.1", port, ephemeral=False))
        await_exactly(client, service, [], healthy_only=False)
        print("can: persistent", file=sys.stderr, flush=True)


def main(command, *rest):
    if command == "hold":
        hold(*rest)
    elif command in ("see", "all"):
        service, *addresses = rest
        print(json.dumps(await_exactly(connect(), service, addresses, command == "see")), flush=True)
    elif command == "watch":
        watch(*rest)
    elif command == "own":
        own()
    else:
        sys.exit(f"unknown command {command}")


if __name__ == "__main__":
    main(*sys.argv[1:])
