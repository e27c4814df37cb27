//! A whole handshake, both ends together, beside the primitives that it consists of.

mod support;

use cadastre_protocol::{PublicKey, SecretKey};
use criterion::Criterion;
use rand_core::UnwrapErr;
use support::{
    bare::Bare,
    clock::CpuTime,
    server::{link, server_identity},
};
use x25519_dalek::EphemeralSecret;

fn main() {
    let mut criterion = Criterion::default().with_measurement(CpuTime).configure_from_args();
    let mut group = criterion.benchmark_group("handshake");
    let identity = server_identity();
    group.bench_function("both ends", |b| b.iter(|| link(&identity, 0)));

    let mut bare = Bare::new();
    group.bench_function("bare primitives", |b| b.iter(|| primitives(&mut bare)));
    let keys: Vec<_> = (1..=3).map(|seed| SecretKey::from_seed(&[seed; 32]).public()).collect();
    group.bench_function("bare primitives and key checks", |b| {
        b.iter(|| {
            primitives(&mut bare);
            key_checks(&keys);
        });
    });
    group.finish();
    criterion.final_summary();
}

/// Two key generations and agreements, two signatures, three verifications, two messages sealed and opened.
fn primitives(bare: &mut Bare) -> bool {
    let mut rng = UnwrapErr(getrandom::SysRng);
    let (client, server) =
        (EphemeralSecret::random_from_rng(&mut rng), EphemeralSecret::random_from_rng(&mut rng));
    let (client_public, server_public) =
        (x25519_dalek::PublicKey::from(&client), x25519_dalek::PublicKey::from(&server));
    let shared = client.diffie_hellman(&server_public);
    let same = shared.as_bytes() == server.diffie_hellman(&client_public).as_bytes();
    for _ in 0..2 {
        bare.sign();
        bare.seal(0, MESSAGE_BYTES);
        bare.seal(0, MESSAGE_BYTES);
    }
    (0..3).for_each(|seat| bare.verify(seat));
    same
}

/// Are the root's, the server's and the player's key canonical and of prime order?
fn key_checks(keys: &[PublicKey]) {
    for key in keys {
        key.enroll().expect("an honest key");
    }
}

/// About what M2 and M3 seal; opening costs what sealing does.
const MESSAGE_BYTES: usize = 192;
