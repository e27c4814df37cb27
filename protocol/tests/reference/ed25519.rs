//! "Signatures" of `docs/protocol.md` a second time: textbook arithmetic with big integers, nothing of the
//! curve's crates. Slow, and good for public values only.

use std::sync::LazyLock;

use num_bigint::BigUint;
use sha2::{Digest as _, Sha512};

/// Does a signature of these raw bytes hold under this key, and can the key be enrolled at all?
pub(crate) fn holds(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let (r, s) = signature.split_first_chunk::<32>().unwrap();
    let (Ok(a), Some(big_r), s) = (enroll(key), Point::decode(r), BigUint::from_bytes_le(s)) else {
        return false;
    };
    let k = hash_to_scalar(&[r, key, message]);
    s < *ORDER && !big_r.is_small() && &base().times(&s).plus(&a.times(&(&*ORDER - k))).encode() == r
}

/// The error's name, in the order of the document.
pub(crate) fn enroll(key: &[u8; 32]) -> Result<Point, &'static str> {
    let point = Point::decode(key).ok_or("NotAPoint")?;
    match () {
        () if &point.encode() != key => Err("NotCanonical"),
        () if point.is_small() => Err("SmallOrder"),
        () if !point.times(&ORDER).is_neutral() => Err("MixedOrder"),
        () => Ok(point),
    }
}

pub(crate) fn hash_to_scalar(parts: &[&[u8]]) -> BigUint {
    BigUint::from_bytes_le(&Sha512::digest(parts.concat())) % &*ORDER
}

/// x = X / Z, y = Y / Z on −x² + y² = 1 + d x² y².
#[derive(Clone, Debug)]
pub(crate) struct Point([BigUint; 3]);

impl Point {
    pub(crate) fn neutral() -> Self {
        Self([0_u8.into(), 1_u8.into(), 1_u8.into()])
    }

    /// Takes *y* modulo p, and any sign for *x* = 0: what is not canonical is for the caller to see.
    pub(crate) fn decode(bytes: &[u8; 32]) -> Option<Self> {
        let (mut y_bytes, negative) = (*bytes, bytes[31] >> 7 == 1);
        y_bytes[31] &= 0x7f;
        let y = BigUint::from_bytes_le(&y_bytes) % &*P;
        let y2 = &y * &y % &*P;
        let x2 = (&y2 + &*P - 1_u8) * invert(&(&*D * &y2 + 1_u8)) % &*P;
        let root = x2.modpow(&((&*P + 3_u8) / 8_u8), &P);
        let mut x = [root.clone(), &root * &*SQRT_M1 % &*P].into_iter().find(|x| x * x % &*P == x2)?;
        if x.bit(0) != negative {
            x = (&*P - x) % &*P;
        }
        Some(Self([x, y, 1_u8.into()]))
    }

    pub(crate) fn encode(&self) -> [u8; 32] {
        let [x, y, z] = &self.0;
        let (x, y) = (x * invert(z) % &*P, y * invert(z) % &*P);
        let mut bytes = y.to_bytes_le();
        bytes.resize(32, 0);
        bytes[31] |= u8::from(x.bit(0)) << 7;
        bytes.try_into().unwrap()
    }

    /// The complete addition of projective twisted Edwards curves, for any two points.
    pub(crate) fn plus(&self, other: &Self) -> Self {
        let ([x1, y1, z1], [x2, y2, z2]) = (&self.0, &other.0);
        let (a, c, d) = (z1 * z2 % &*P, x1 * x2 % &*P, y1 * y2 % &*P);
        let (b, e) = (&a * &a % &*P, &*D * &c % &*P * &d % &*P);
        let (f, g) = (&b + &*P - &e, b + e);
        let cross = ((x1 + y1) * (x2 + y2) + (&*P - &c) + (&*P - &d)) % &*P;
        Self([&a * &f % &*P * cross % &*P, a * &g % &*P * (d + c) % &*P, f * g % &*P])
    }

    pub(crate) fn times(&self, scalar: &BigUint) -> Self {
        (0..scalar.bits()).rev().fold(Self::neutral(), |sum, bit| {
            let doubled = sum.plus(&sum);
            if scalar.bit(bit) { doubled.plus(self) } else { doubled }
        })
    }

    fn is_neutral(&self) -> bool {
        let [x, y, z] = &self.0;
        *x == BigUint::ZERO && y == z
    }

    fn is_small(&self) -> bool {
        self.times(&8_u8.into()).is_neutral()
    }
}

/// The point with *y* = 4/5 and an even *x*.
pub(crate) fn base() -> Point {
    let y = BigUint::from(4_u8) * invert(&5_u8.into()) % &*P;
    let mut bytes = y.to_bytes_le();
    bytes.resize(32, 0);
    Point::decode(&bytes.try_into().unwrap()).unwrap()
}

fn invert(number: &BigUint) -> BigUint {
    number.modpow(&(&*P - 2_u8), &P)
}

static P: LazyLock<BigUint> = LazyLock::new(|| (BigUint::from(1_u8) << 255) - 19_u8);
static D: LazyLock<BigUint> =
    LazyLock::new(|| (&*P - 121_665_u32) * invert(&BigUint::from(121_666_u32)) % &*P);
static SQRT_M1: LazyLock<BigUint> = LazyLock::new(|| BigUint::from(2_u8).modpow(&((&*P - 1_u8) / 4_u8), &P));
/// Of the group that the base point makes.
pub(crate) static ORDER: LazyLock<BigUint> =
    LazyLock::new(|| (BigUint::from(1_u8) << 252) + 27_742_317_777_372_353_535_851_937_790_883_648_493_u128);
