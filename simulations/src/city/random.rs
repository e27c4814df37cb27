//! The game's own random numbers, fixed for ever: the generator, ranges, shuffling and noise.

use cadastre_protocol::Digest;

/// xoshiro256** 1.0 (Blackman and Vigna, 2018), seeded with the 32 bytes of a digest as four little-endian
/// words.
#[derive(Clone, Debug)]
pub(super) struct Random([u64; 4]);

impl Random {
    pub(super) fn new(seed: Digest) -> Self {
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(seed.as_bytes().as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        // The one state that the generator never leaves.
        if words == [0; 4] { Self([1, 2, 3, 4]) } else { Self(words) }
    }

    pub(super) fn next(&mut self) -> u64 {
        let Self(s) = self;
        let result = s[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= shifted;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// A number from 0 to `bound - 1`, each equally likely (Lemire, 2019, on 32 bits); 0 when `bound` is 0.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        loop {
            let product = (self.next() >> 32) * u64::from(bound);
            let [low, high] = halves(product);
            if low >= bound.wrapping_neg().checked_rem(bound).unwrap_or(0) {
                return high;
            }
        }
    }

    /// Fisher and Yates, from the end.
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let bound = u32::try_from(last + 1).expect("short lists only");
            items.swap(last, self.below(bound) as usize);
        }
    }
}

/// Smooth noise over the plane: random values at the corners of squares, blended inside them.
#[derive(Clone, Debug)]
pub(super) struct Noise {
    key: u64,
    /// Side of the largest squares, in tiles.
    scale: u32,
    /// Layers; each has half the square side and half the weight of the one before.
    octaves: u32,
}

impl Noise {
    pub(super) fn new(random: &mut Random, scale: u32, octaves: u32) -> Self {
        Self { key: random.next(), scale, octaves }
    }

    /// 0 to 65,535.
    pub(super) fn at(&self, x: u16, y: u16) -> u32 {
        let (mut sum, mut weights) = (0, 0);
        for octave in 0..self.octaves {
            let weight = 1 << (self.octaves - 1 - octave);
            let side = (self.scale >> octave).max(2);
            sum += weight * self.layer(octave, side, u32::from(x), u32::from(y));
            weights += weight;
        }
        sum / weights
    }

    fn layer(&self, octave: u32, side: u32, x: u32, y: u32) -> u32 {
        let (column, row) = (x / side, y / side);
        let (across, down) = (ease(x % side, side), ease(y % side, side));
        let corner = |column, row| self.corner(octave, column, row);
        let top = blend(corner(column, row), corner(column + 1, row), across);
        let bottom = blend(corner(column, row + 1), corner(column + 1, row + 1), across);
        blend(top, bottom, down)
    }

    /// 0 to 65,535 for each corner: the finaliser of splitmix64 over key and position.
    fn corner(&self, octave: u32, column: u32, row: u32) -> u32 {
        let position = u64::from(octave) << 48 | u64::from(column) << 24 | u64::from(row);
        let mut word = self.key.wrapping_add(position.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        halves(word ^ word >> 31)[1] >> 16
    }
}

/// The lower and the upper half of a word.
fn halves(word: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = word.to_le_bytes();
    [u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])]
}

/// `3t² - 2t³` for `t = step / side`, from 0 to 256.
const fn ease(step: u32, side: u32) -> u32 {
    let t = step * 256 / side;
    (t * t * (768 - 2 * t)) >> 16
}

const fn blend(from: u32, to: u32, share: u32) -> u32 {
    (from * (256 - share) + to * share) / 256
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_gives_the_published_numbers() {
        let mut seed = [0; 32];
        for word in 0..4 {
            seed[8 * word] = u8::try_from(word + 1).unwrap();
        }
        let mut random = Random::new(Digest::new(seed));
        let expected: [u64; 6] = [
            11_520,
            0,
            1_509_978_240,
            1_215_971_899_390_074_240,
            1_216_172_134_540_287_360,
            607_988_272_756_665_600,
        ];
        assert_eq!([(); 6].map(|()| random.next()), expected);
        assert_eq!(Random::new(Digest::ZERO).next(), 11_520);
    }

    #[test]
    fn ranges_and_shuffles_are_fixed() {
        let mut random = Random::new(Digest::new([7; 32]));
        assert_eq!([0, 1, 2, 6, 100, u32::MAX].map(|bound| random.below(bound)), VECTOR_BELOW);
        let mut items = [0, 1, 2, 3, 4, 5, 6, 7];
        random.shuffle(&mut items);
        assert_eq!(items, VECTOR_SHUFFLE);
    }

    #[test]
    fn every_number_of_a_range_turns_up() {
        let mut random = Random::new(Digest::new([9; 32]));
        let mut seen = [0_u32; 5];
        (0..5_000).for_each(|_| seen[random.below(5) as usize] += 1);
        assert!(seen.iter().all(|count| (900..1_100).contains(count)), "{seen:?}");
    }

    #[test]
    fn noise_is_fixed_and_smooth() {
        let noise = Noise::new(&mut Random::new(Digest::new([7; 32])), 16, 3);
        assert_eq!([(0, 0), (5, 3), (63, 63), (511, 511)].map(|(x, y)| noise.at(x, y)), VECTOR_NOISE);
        for x in 0..63 {
            assert!(noise.at(x, 9).abs_diff(noise.at(x + 1, 9)) < 16_000);
        }
    }

    const VECTOR_BELOW: [u32; 6] = [0, 0, 0, 1, 23, 3_284_757_472];
    const VECTOR_SHUFFLE: [i32; 8] = [5, 1, 0, 7, 6, 3, 4, 2];
    const VECTOR_NOISE: [u32; 4] = [50_970, 40_426, 48_809, 37_131];
}
