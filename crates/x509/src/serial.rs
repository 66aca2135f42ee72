//! Certificate serial numbers (RFC 5280 section 4.1.2.2).

use std::fmt;

use aws_lc_rs::rand;

use crate::public_key::KeyError;

/// A certificate's serial number, written in lower case hexadecimal digits, two per byte.
///
/// One that certmesh makes has 127 random bits and is positive. One read from a certificate may be of any size up to 21
/// bytes, since older authorities issued longer and even negative ones.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SerialNumber(Box<[u8]>);

impl SerialNumber {
    /// A new one from the operating system's random numbers. Impure: see the crate documentation.
    pub fn random() -> Result<Self, KeyError> {
        let mut bytes = [0; 16];
        rand::fill(&mut bytes).map_err(|_| KeyError::Randomness)?;
        Ok(Self::from_bytes(bytes))
    }

    /// The serial number with these 127 low bits; the highest bit is cleared so that it is positive, and zero becomes one.
    pub fn from_bytes(mut bytes: [u8; 16]) -> Self {
        bytes[0] &= 0x7f;
        if bytes == [0; 16] {
            bytes[15] = 1;
        }
        let leading_zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        Self::from_integer(&bytes[leading_zeros..])
    }

    /// From the content of a DER INTEGER, or the bytes of a positive number without leading zeros.
    pub(crate) fn from_integer(content: &[u8]) -> Self {
        let digits = match content {
            [0, rest @ ..] if !rest.is_empty() => rest,
            all => all,
        };
        Self(digits.into())
    }

    /// The number, big endian, without leading zeros.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SerialNumber({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_positive_and_never_zero() {
        for (bytes, text) in [
            ([0xff; 16], "7fffffffffffffffffffffffffffffff"),
            ([0; 16], "01"),
            ([0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], "01"),
            ([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12, 0x34], "1234"),
        ] {
            assert_eq!(SerialNumber::from_bytes(bytes).to_string(), text);
        }
    }

    #[test]
    fn random_numbers_differ() {
        assert_ne!(SerialNumber::random().unwrap(), SerialNumber::random().unwrap());
    }
}
