//! Who a connection comes from, as far as limits are concerned.

use std::net::{IpAddr, Ipv6Addr};

/// An IPv4 address, or an IPv6 network of 64 bits: what one subscriber has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Address(IpAddr);

impl Address {
    pub(crate) fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            v4 @ IpAddr::V4(_) => Self(v4),
            IpAddr::V6(v6) => Self(IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64))),
        }
    }

    /// For a request that came from `peer` with such an `X-Forwarded-For`: the last address that is not one of
    /// `proxies`, each of which appended the address that it saw. Nobody else's word counts.
    pub(crate) fn forwarded(peer: IpAddr, proxies: &[IpAddr], header: &str) -> Self {
        let is_proxy = |ip: &IpAddr| proxies.contains(&ip.to_canonical());
        let mut seen = peer;
        for entry in header.rsplit(',') {
            if !is_proxy(&seen) {
                break;
            }
            let Ok(ip) = entry.trim().parse() else { break };
            seen = ip;
        }
        Self::of(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::of(text.parse().unwrap())
    }

    #[test]
    fn one_subscriber_is_one_address() {
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
        assert_ne!(address("192.0.2.1"), address("192.0.2.2"));
        assert_eq!(address("2001:db8:0:1::1"), address("2001:db8:0:1:ffff::2"));
        assert_ne!(address("2001:db8:0:1::1"), address("2001:db8:0:2::1"));
    }

    #[test]
    fn only_proxies_are_believed() {
        let proxies = ["10.0.0.1", "10.0.0.2"].map(|ip| ip.parse().unwrap());
        let of = |peer: &str, header| Address::forwarded(peer.parse().unwrap(), &proxies, header);
        assert_eq!(of("192.0.2.9", "198.51.100.1"), address("192.0.2.9"), "no proxy");
        assert_eq!(of("10.0.0.1", "198.51.100.1"), address("198.51.100.1"));
        assert_eq!(
            of("10.0.0.1", "203.0.113.7, 198.51.100.1"),
            address("198.51.100.1"),
            "a client's own header"
        );
        assert_eq!(of("10.0.0.1", "198.51.100.1, 10.0.0.2"), address("198.51.100.1"), "two proxies");
        assert_eq!(of("10.0.0.1", ""), address("10.0.0.1"));
        assert_eq!(of("10.0.0.1", "198.51.100.1, nonsense"), address("10.0.0.1"));
    }
}
