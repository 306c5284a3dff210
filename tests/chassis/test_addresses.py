"""An address is public or not, whatever way it is written; the check of URLs and the dialling agree on it."""

from __future__ import annotations

import ipaddress
import socket

import httpx
import pytest

from service_chassis.addresses import address_in, is_loopback_host, is_private_host, is_public
from service_chassis.dialling import CheckedTransport, NotDialled
from service_chassis.refusal import Refusal
from service_chassis.rpc.fields import Fields

PRIVATE_HOSTS = [
    # names of this machine
    "localhost",
    "LOCALHOST.",
    "db.localhost",
    "\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54",  # full-width letters
    # loopback, and its short, octal, hexadecimal and decimal forms
    "127.0.0.1",
    "127.0.0.1.",
    "127.255.255.254",
    "127.1",
    "127.0.1",
    "0x7f.1",
    "0x7f000001",
    "0x7f.0x0.0x0.0x1",
    "0177.0.0.1",
    "017700000001",
    "2130706433",
    # digits and full stops of other scripts
    "\uff11\uff12\uff17.0.0.1",
    "\u2460\u2461\u2466.0.0.1",
    "127\u30020\u30020\u30021",
    "127\uff0e0\uff0e0\uff0e1",
    "127\uff610\uff610\uff611",
    # unspecified
    "0",
    "0.0.0.0",  # noqa: S104 - an address to refuse
    "0.1.2.3",
    # private networks, link-local (with the metadata service of clouds), carriers' own
    "10.0.0.1",
    "10.1",
    "167772161",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "3232235777",
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "100.64.0.1",
    "100.127.255.255",
    # assigned for protocols, documentation and benchmarks; relays, multicast, reserved, broadcast
    "192.0.0.8",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "192.88.99.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    # IPv6
    "[::]",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "[fec0::1]",
    "[fc00::1]",
    "[fd12:3456::1]",
    "[ff02::1]",
    "[ff0e::1]",
    "[100::1]",
    "[2001:db8::1]",
    "[3fff::1]",
    "[5f00::1]",
    # IPv4 inside IPv6: mapped, compatible, translated, NAT64, 6to4, Teredo
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:10.0.0.1]",
    "[::127.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::8.8.8.8]",
    "[2002:7f00:1::]",
    "[2002:808:808::]",
    "[2001:0:53aa:64c::1]",
]
PUBLIC_HOSTS = ["1.1.1.1", "8.8.8.8", "[2606:4700:4700::1111]", "[64:ff9b::8.8.8.8]", "[::ffff:8.8.8.8]"]
NAMES = ["blog.example", "m\u00fcnchen.example", "localhost.example", "127.0.0.1.example", "a_b.example"]


class NeverDialled(httpx.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise AssertionError(f"{request.url} was dialled")


class Dialled(httpx.AsyncBaseTransport):
    """Answers 200, and notes what it was asked to dial."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(200)


@pytest.mark.parametrize("host", PRIVATE_HOSTS)
async def test_a_private_host_is_neither_accepted_nor_dialled(host: str) -> None:
    """The check of URLs refuses it with a clear error, and the transport does not dial it."""
    url = f"http://{host}/"
    with pytest.raises(Refusal) as raised, Fields() as fields:
        fields.url("url", url, allow_private=False)
    assert raised.value.reason == "INVALID_FIELD"
    async with httpx.AsyncClient(
        transport=CheckedTransport(allow_private=False, inner=NeverDialled())
    ) as client:
        with pytest.raises((NotDialled, httpx.InvalidURL)):  # httpx accepts no digits of other scripts
            await client.get(url)


@pytest.mark.parametrize("host", PUBLIC_HOSTS)
async def test_a_public_address_is_accepted_and_dialled(host: str) -> None:
    """A public address passes both, also wrapped by a mapping or a translator."""
    url = f"http://{host}/"
    assert Fields().url("url", url, allow_private=False) == url
    inner = Dialled()
    async with httpx.AsyncClient(transport=CheckedTransport(allow_private=False, inner=inner)) as client:
        assert (await client.get(url)).status_code == 200
    assert len(inner.requests) == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_left_to_the_dialling(name: str) -> None:
    """The check of URLs looks no name up, so it accepts all but those of this machine."""
    assert address_in(name) is None
    assert not is_private_host(name)
    assert Fields().url("url", f"https://{name}/", allow_private=False) == f"https://{name}/"


@pytest.mark.parametrize("host", ["127%2e0%2e0%2e1", "%6cocalhost", "127.0.0.1%00.example", "a$b.example"])
def test_a_host_that_is_no_name_is_refused(host: str) -> None:
    """Percent-encoding and other signs have no place in a host that is to be dialled."""
    with pytest.raises(Refusal), Fields() as fields:
        fields.url("url", f"http://{host}/", allow_private=False)


@pytest.mark.parametrize(
    "network",
    [
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/96",
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    ],
)
def test_a_special_purpose_network_is_not_public(network: str) -> None:
    """The first and the last address of each network of IANA's registries are not public."""
    addresses = ipaddress.ip_network(network)
    assert not is_public(addresses[0])
    assert not is_public(addresses[-1])


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104 - an address to tell apart
        ("::", False),
        ("10.0.0.1", False),
        ("governor.example", False),
    ],
)
def test_a_service_on_loopback_is_reached_from_this_machine_alone(host: str, is_loopback: bool) -> None:
    """Only loopback addresses and localhost count."""
    assert is_loopback_host(host) == is_loopback


def test_the_resolver_takes_the_short_forms_too() -> None:
    """If it did not, the table above would test less than it says."""
    assert socket.getaddrinfo("127.1", None)[0][4][0] == "127.0.0.1"
