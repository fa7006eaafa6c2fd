//! Secrets that stratum makes itself: what the provider `generated` asks for, done by `seal`.

use stratum_core::secret::Secret;
use stratum_providers::generated::{Certificate, Maker, PublicKey};
use stratum_seal::generate::{self, CertificateRequest, GenerateError};

use crate::error::chain;

/// Makes them with OpenSSL.
pub(crate) struct OpenSsl;

fn clause<T>(result: Result<T, GenerateError>) -> Result<T, String> {
    result.map_err(|error| chain(&error))
}

impl Maker for OpenSsl {
    fn password(&self, length: usize, letters: &str) -> Result<Secret, String> {
        clause(generate::password(length, letters))
    }

    fn private_key(&self, algorithm: &str) -> Result<Secret, String> {
        clause(generate::private_key(algorithm))
    }

    fn public_key(&self, private: &Secret) -> Result<PublicKey, String> {
        let generate::PublicKey { pem, openssh } = clause(generate::public_key(private))?;
        Ok(PublicKey { pem, openssh })
    }

    fn certificate(&self, private: &Secret, says: &Certificate) -> Result<String, String> {
        let Certificate {
            common_name,
            organization,
            dns_names,
            ip_addresses,
            is_authority,
            not_before,
            not_after,
        } = says.clone();
        let request = CertificateRequest {
            common_name,
            organization,
            dns_names,
            ip_addresses,
            is_authority,
            not_before,
            not_after,
        };
        clause(generate::certificate(private, &request))
    }
}
