//! Keys and signatures: ed25519 (RFC 8032) in the PEM files that `openssl genpkey -algorithm ed25519` writes.
//!
//! In: PEM text, digests. Out: keys, signatures, and whether one is right. Never makes a key and never touches a file.

use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey};
use ed25519_dalek::{Signature, Signer, VerifyingKey};

/// What stands before the digest in the message that is signed, so that a signature says what it was made for.
const PREFIX: &[u8] = b"egressc snapshot v1\0";

/// A key that signs snapshots. It is wiped from memory when it goes.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

/// Why a text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No private key of ed25519 in PKCS#8.
    #[error("there is no private ed25519 key in it")]
    NoPrivateKey,
    /// No public key of ed25519.
    #[error("there is no public ed25519 key in it")]
    NoPublicKey,
    /// A private key where a public one belongs.
    #[error("it holds a private key, which does not belong on a node")]
    Private,
}

impl KeyError {
    /// What to do.
    #[must_use]
    pub fn help(self) -> &'static str {
        match self {
            Self::NoPrivateKey => "make a key with `openssl genpkey -algorithm ed25519 -out KEY.pem`",
            Self::NoPublicKey | Self::Private => {
                "write the public half with `openssl pkey -in KEY.pem -pubout -out KEY.pub.pem`"
            }
        }
    }
}

impl SigningKey {
    /// The private key of a PEM text (PKCS#8, RFC 5958 and RFC 8410).
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        ed25519_dalek::SigningKey::from_pkcs8_pem(pem.trim()).map(Self).map_err(|_| KeyError::NoPrivateKey)
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// The signature of a snapshot's digest.
    pub(crate) fn sign(&self, digest: &[u8; 32]) -> [u8; 64] {
        self.0.sign(&message(digest)).to_bytes()
    }
}

/// Every public key of a PEM text, one or more of them one after the other (RFC 8410).
///
/// # Errors
///
/// When there is none, when one is of another algorithm, or when one is private.
pub fn public_keys(pem: &str) -> Result<Vec<[u8; 32]>, KeyError> {
    const END: &str = "-----END PUBLIC KEY-----";
    if pem.contains("PRIVATE KEY-----") {
        return Err(KeyError::Private);
    }
    let key = |text: &str| {
        let key = VerifyingKey::from_public_key_pem(&format!("{}{END}\n", text.trim_start()));
        key.map(|key| key.to_bytes()).map_err(|_| KeyError::NoPublicKey)
    };
    // What follows the last end is no key; only white space may stand there.
    let parts: Vec<&str> = pem.split(END).collect();
    match parts.split_last() {
        Some((rest, keys)) if !keys.is_empty() && rest.trim().is_empty() => keys.iter().map(|text| key(text)).collect(),
        _ => Err(KeyError::NoPublicKey),
    }
}

/// Whether a signature of a digest is that key's, by the strict rules: no weak keys, one form of each signature.
pub(crate) fn is_right(key: &[u8; 32], digest: &[u8; 32], signature: &[u8; 64]) -> bool {
    let key = VerifyingKey::from_bytes(key);
    key.is_ok_and(|key| key.verify_strict(&message(digest), &Signature::from_bytes(signature)).is_ok())
}

fn message(digest: &[u8; 32]) -> Vec<u8> {
    [PREFIX, digest].concat()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Made with `openssl genpkey -algorithm ed25519`, for tests alone.
    pub(crate) const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIKGCfxJi6N9GGEJ+5yEMtc6rDWeEqkl2B/rZa/ETbxOB
-----END PRIVATE KEY-----
";
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAH3wJesFaTkC0TOGutn1/qGh4oOcWTIcC6Kfjbcl52Fk=
-----END PUBLIC KEY-----
";
    const OTHER: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAkh1rADgvxQKozeaxWFUlJ8wUC2hG+mT1t2t+LUfwIlU=
-----END PUBLIC KEY-----
";
    const RSA: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCnIv6eX7p42MLhT0BO0JTPKv8V
NFZ5RHsHxT33rupXQmToxuT1p8QhrxULRaIFtr0/xue6hJitp8eR6S70atsQxNqO
jRwr0pFavGDz6wUaaoeVaI6SrdPx8GgE60qELE1GGwmnsAHiAKIKS2V/OmNMxj2+
OahsJqdV3uIBFEjIswIDAQAB
-----END PUBLIC KEY-----
";

    #[test]
    fn keys_of_openssl_are_read() {
        let key = SigningKey::from_pem(PRIVATE).unwrap();
        assert_eq!(public_keys(PUBLIC), Ok(vec![key.public()]));
        let both = public_keys(&format!("{PUBLIC}\n{OTHER}")).unwrap();
        assert_eq!((both.len(), both[0] == key.public(), both[0] == both[1]), (2, true, false));
    }

    #[test]
    fn others_are_refused() {
        assert_eq!(SigningKey::from_pem(PUBLIC).err(), Some(KeyError::NoPrivateKey));
        assert_eq!(SigningKey::from_pem("").err(), Some(KeyError::NoPrivateKey));
        assert_eq!(public_keys(PRIVATE), Err(KeyError::Private));
        for text in [RSA, "", "x", &PUBLIC[..60], &format!("{PUBLIC}x"), &format!("{PUBLIC}{RSA}")] {
            assert_eq!(public_keys(text), Err(KeyError::NoPublicKey), "{text}");
        }
    }

    #[test]
    fn a_signature_is_of_one_key_and_one_digest() {
        let key = SigningKey::from_pem(PRIVATE).unwrap();
        let signature = key.sign(&[7; 32]);
        assert!(is_right(&key.public(), &[7; 32], &signature));
        assert!(!is_right(&key.public(), &[8; 32], &signature));
        assert!(!is_right(&public_keys(OTHER).unwrap()[0], &[7; 32], &signature));
        // A key of small order would accept signatures that nobody made.
        assert!(!is_right(&[0; 32], &[7; 32], &[0; 64]));
    }
}
