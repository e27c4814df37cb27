//! What one address and one identity may do. The limits stand in `docs/configuration.md`.
//!
//! Requires: the addresses that the system or a trusted proxy gives, and identities that completed a handshake.
//!
//! Provides: nobody takes all connections, rooms or computing time from one address; memory that is bounded
//! whoever comes.
//!
//! Does not provide: a bound for somebody with many addresses. Identities cost nothing, so what matters is bounded
//! for addresses too.

mod address;
mod buckets;
mod places;

pub(crate) use address::Address;

use std::{net::IpAddr, sync::Arc};

use cadastre_protocol::{ClientMessage, Limit, Pass, PublicKey};
use hyper::HeaderMap;

use crate::{
    clock::ServiceClock,
    config::{Config, Rate},
    metrics::Metrics,
};
use buckets::Buckets;
use places::{Place, Places};

/// Time after which somebody for whom there was no place may ask again.
const PLACE_RETRY_MS: u32 = 2_000;

/// The same for rooms, which end less often.
const ROOM_RETRY_MS: u32 = 30_000;

/// Header in which proxies say who asks.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// A limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Over<L> {
    pub(crate) limit: L,
    /// When to come again, in milliseconds from now.
    pub(crate) retry_after_ms: u32,
}

/// A connection counts for its address as long as this is there.
pub(crate) type ConnectionPlace = Place<Address>;

/// A login counts for its identity as long as this is there.
pub(crate) type LoginPlace = Place<PublicKey>;

/// A room counts for whoever opened it as long as this is there and does not rest.
#[derive(Debug)]
pub(crate) struct RoomPlace {
    identity: Place<PublicKey>,
    address: Place<Address>,
}

impl RoomPlace {
    /// The room does not count for the time being.
    pub(crate) fn rest(&mut self) {
        self.identity.rest();
        self.address.rest();
    }

    /// The room counts again, also where that is one too many: nobody is refused a match for it.
    pub(crate) fn count(&mut self) {
        self.identity.count();
        self.address.count();
    }
}

/// What everybody has done lately, and has at the moment.
#[derive(Debug)]
pub(crate) struct Limiter {
    metrics: Arc<Metrics>,
    proxies: Vec<IpAddr>,
    connections: Places<Address>,
    handshakes_open: Places<Address>,
    logins: Places<PublicKey>,
    rooms_of_identity: Places<PublicKey>,
    rooms_of_address: Places<Address>,
    handshakes: Buckets<Address>,
    requests: Buckets<Address>,
    exports: Buckets<Address>,
    messages: Buckets<Address>,
    passwords: Buckets<Address>,
    creates_of_address: Buckets<Address>,
    creates: Buckets<PublicKey>,
    enters: Buckets<PublicKey>,
    submits: Buckets<PublicKey>,
    compares: Buckets<PublicKey>,
    others: Buckets<PublicKey>,
    talks: Buckets<PublicKey>,
    talks_of_address: Buckets<Address>,
}

impl Limiter {
    pub(crate) fn new(config: &Config, metrics: Arc<Metrics>) -> Self {
        let limits = &config.limits;
        let keys_max = limits.buckets_max;
        let of_address = |rate: Rate| Buckets::new(rate, keys_max, ServiceClock);
        let of_identity = |rate: Rate| Buckets::new(rate, keys_max, ServiceClock);
        Self {
            metrics,
            proxies: config.trusted_proxies.iter().map(IpAddr::to_canonical).collect(),
            connections: Places::new(limits.connections_per_address_max),
            handshakes_open: Places::new(limits.handshakes_per_address_max),
            logins: Places::new(limits.connections_per_identity_max),
            rooms_of_identity: Places::new(limits.rooms_per_identity_max),
            rooms_of_address: Places::new(limits.rooms_per_address_max),
            handshakes: of_address(limits.handshakes_per_address_rate),
            requests: of_address(limits.requests_per_address_rate),
            exports: of_address(limits.exports_per_address_rate),
            messages: of_address(limits.messages_per_address_rate),
            passwords: of_address(limits.passwords_per_address_rate),
            creates_of_address: of_address(limits.creates_per_address_rate),
            creates: of_identity(limits.creates_per_identity_rate),
            enters: of_identity(limits.enters_per_identity_rate),
            submits: of_identity(limits.submits_per_identity_rate),
            compares: of_identity(limits.compares_per_identity_rate),
            others: of_identity(limits.others_per_identity_rate),
            talks: of_identity(limits.talks_per_identity_rate),
            talks_of_address: of_address(limits.talks_per_address_rate),
        }
    }

    /// Do requests of others come through here?
    pub(crate) fn is_proxy(&self, peer: IpAddr) -> bool {
        self.proxies.contains(&peer.to_canonical())
    }

    /// Who sent a request that came from `peer`.
    pub(crate) fn address_of(&self, peer: IpAddr, headers: &HeaderMap) -> Address {
        let values: Vec<_> = headers.get_all(FORWARDED_FOR).iter().flat_map(|value| value.to_str()).collect();
        Address::forwarded(peer, &self.proxies, &values.join(","))
    }

    pub(crate) fn connection(&self, address: Address) -> Result<ConnectionPlace, Over<&'static str>> {
        self.place(&self.connections, address, "connections_per_address_max", PLACE_RETRY_MS)
    }

    /// A handshake begins, and lasts as long as the place is kept.
    pub(crate) fn handshake(&self, address: Address) -> Result<ConnectionPlace, Over<&'static str>> {
        self.token(&self.handshakes, address, "handshakes_per_address_rate")?;
        self.place(&self.handshakes_open, address, "handshakes_per_address_max", PLACE_RETRY_MS)
    }

    pub(crate) fn request(&self, address: Address) -> Result<(), Over<&'static str>> {
        self.token(&self.requests, address, "requests_per_address_rate")
    }

    /// A request for something that has to be made from the store.
    pub(crate) fn export(&self, address: Address) -> Result<(), Over<&'static str>> {
        self.token(&self.exports, address, "exports_per_address_rate")
    }

    pub(crate) fn login(&self, identity: PublicKey) -> Result<LoginPlace, Over<Limit>> {
        self.named_place(&self.logins, identity, Limit::ConnectionsPerIdentity, PLACE_RETRY_MS)
    }

    pub(crate) fn room(&self, identity: PublicKey, address: Address) -> Result<RoomPlace, Over<Limit>> {
        let of_identity = &self.rooms_of_identity;
        let of_address = &self.rooms_of_address;
        Ok(RoomPlace {
            identity: self.named_place(of_identity, identity, Limit::RoomsPerIdentity, ROOM_RETRY_MS)?,
            address: self.named_place(of_address, address, Limit::RoomsPerAddress, ROOM_RETRY_MS)?,
        })
    }

    pub(crate) fn message(
        &self,
        message: &ClientMessage,
        identity: PublicKey,
        address: Address,
    ) -> Result<(), Over<Limit>> {
        self.named_token(&self.messages, address, Limit::MessagesPerAddress)?;
        let (buckets, limit) = match message {
            ClientMessage::Create { .. } => {
                self.named_token(&self.creates_of_address, address, Limit::CreatesPerAddress)?;
                (&self.creates, Limit::CreatesPerIdentity)
            }
            ClientMessage::Enter { pass, .. } | ClientMessage::Resume { pass, .. } => {
                // Before it is known whether it is the right one: who is beyond the limit learns nothing.
                if let Some(Pass::Password(_)) = pass {
                    self.named_token(&self.passwords, address, Limit::PasswordsPerAddress)?;
                }
                (&self.enters, Limit::EntersPerIdentity)
            }
            ClientMessage::Submit(_) => (&self.submits, Limit::SubmitsPerIdentity),
            ClientMessage::Compare(_) => (&self.compares, Limit::ComparesPerIdentity),
            ClientMessage::Say(_) => {
                self.named_token(&self.talks_of_address, address, Limit::TalksPerAddress)?;
                (&self.talks, Limit::TalksPerIdentity)
            }
            ClientMessage::Ready { .. }
            | ClientMessage::Leave
            | ClientMessage::Ping(_)
            | ClientMessage::Pong(_)
            | ClientMessage::Follow { .. }
            | ClientMessage::Watch(_)
            | ClientMessage::Rematch => (&self.others, Limit::OthersPerIdentity),
        };
        self.named_token(buckets, identity, limit)
    }

    fn place<K: Copy + Eq + std::hash::Hash>(
        &self,
        places: &Places<K>,
        key: K,
        limit: &'static str,
        retry_after_ms: u32,
    ) -> Result<Place<K>, Over<&'static str>> {
        places.take(key).ok_or_else(|| {
            self.metrics.count_limited(limit);
            Over { limit, retry_after_ms }
        })
    }

    fn token<K: Copy + Eq + std::hash::Hash>(
        &self,
        buckets: &Buckets<K>,
        key: K,
        limit: &'static str,
    ) -> Result<(), Over<&'static str>> {
        buckets.take(key).map_err(|retry_after_ms| {
            self.metrics.count_limited(limit);
            Over { limit, retry_after_ms }
        })
    }

    fn named_place<K: Copy + Eq + std::hash::Hash>(
        &self,
        places: &Places<K>,
        key: K,
        limit: Limit,
        retry_after_ms: u32,
    ) -> Result<Place<K>, Over<Limit>> {
        self.place(places, key, limit.name(), retry_after_ms).map_err(|over| over.named(limit))
    }

    fn named_token<K: Copy + Eq + std::hash::Hash>(
        &self,
        buckets: &Buckets<K>,
        key: K,
        limit: Limit,
    ) -> Result<(), Over<Limit>> {
        self.token(buckets, key, limit.name()).map_err(|over| over.named(limit))
    }
}

impl Over<&'static str> {
    const fn named(self, limit: Limit) -> Over<Limit> {
        Over { limit, retry_after_ms: self.retry_after_ms }
    }

    /// In whole seconds, as HTTP has it.
    pub(crate) const fn retry_after_s(self) -> u32 {
        self.retry_after_ms.div_ceil(1000)
    }
}
