//! Which certificates to trust and to show, for every protocol over TLS; and the HTTP clients built on that.

use super::ClientError;
use proofmark_environment::Tls;
use proofmark_model::ErrorCode;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme, WantsVerifier,
};
use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);

/// One HTTP client for each way of talking TLS, so that connections stay open between requests. They live as long as
/// the environment, for a client's open connections belong to the runtime that opened them.
#[derive(Debug, Default)]
pub struct HttpClients {
    /// Clients by their TLS settings; `None` is plain HTTP. There are few: a list is searched fast enough.
    pub built: Mutex<Vec<(Option<Tls>, reqwest::Client)>>,
    /// `Authorization` values that the redactor has learned.
    pub learned: Mutex<BTreeSet<String>>,
}

/// The client for these TLS settings, built once; `None` is plain HTTP.
///
/// # Errors
/// Settings that cannot be used: a certificate or key that cannot be read.
pub fn client(clients: &HttpClients, tls: Option<&Tls>) -> Result<reqwest::Client, ClientError> {
    let mut built = clients.built.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, client)) = built.iter().find(|(known, _)| known.as_ref() == tls) {
        return Ok(client.clone());
    }
    let client = build(tls)?;
    built.push((tls.cloned(), client.clone()));
    Ok(client)
}

/// How much is asked of a server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Nothing: whoever answers is believed.
    Anyone,
    /// That a trusted authority has signed it, whatever name it is for.
    Authority,
    /// That, and that it is for the name that was asked.
    Name,
}

/// A client of its own that hands over every byte as it came: what was stored packed is not unpacked.
///
/// # Errors
/// Settings that cannot be used: a certificate or key that cannot be read.
pub fn raw_client(tls: Option<&Tls>) -> Result<reqwest::Client, ClientError> {
    finished(builder(tls)?.no_gzip())
}

fn build(tls: Option<&Tls>) -> Result<reqwest::Client, ClientError> {
    finished(builder(tls)?)
}

fn finished(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, ClientError> {
    builder.build().map_err(|error| refused("the HTTP client", &error))
}

fn builder(tls: Option<&Tls>) -> Result<reqwest::ClientBuilder, ClientError> {
    let config = match tls {
        // Plain HTTP trusts nobody: reading the machine's certificates takes time and is not needed.
        None => versions(&Arc::new(ring::default_provider()))?
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth(),
        Some(tls) => config(tls, if tls.insecure { Trust::Anyone } else { Trust::Name })?,
    };
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(config)
        .user_agent(concat!("proofmark/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .tcp_nodelay(true)
        // Packing costs a server more than a near network gives back; who packs all the same is understood.
        .default_headers(HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]))
        .connect_timeout(CONNECT))
}

fn versions(
    provider: &Arc<CryptoProvider>,
) -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, ClientError> {
    ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| refused("the TLS library", &error))
}

/// What to present and whom to trust, for any protocol over TLS.
///
/// # Errors
/// When certificates or keys cannot be used.
pub fn config(tls: &Tls, trust: Trust) -> Result<ClientConfig, ClientError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = verifier(tls, trust, &provider)?;
    let config = versions(&provider)?.dangerous().with_custom_certificate_verifier(verifier);
    match (&tls.cert, &tls.key) {
        (None, None) => Ok(config.with_no_client_auth()),
        (Some(cert), Some(key)) => {
            let chain = certificates(cert, "tls.cert")?;
            let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes());
            let key = key.map_err(|_| unusable("`tls.key` holds no private key in PEM"))?;
            let config = config.with_client_auth_cert(chain, key);
            config.map_err(|error| refused("`tls.cert` with `tls.key`", &error))
        }
        _ => Err(unusable("`tls.cert` and `tls.key` need each other")),
    }
}

fn refused(what: &str, error: &dyn Display) -> ClientError {
    unusable(format!("{what} cannot be used: {error}"))
}

fn unusable(message: impl Into<String>) -> ClientError {
    ClientError::new(ErrorCode::BadConnection, message)
}

fn certificates(pem: &str, key: &str) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let found = found.map_err(|error| unusable(format!("`{key}` is no PEM text: {error}")))?;
    if found.is_empty() {
        return Err(unusable(format!("`{key}` holds no certificate in PEM")));
    }
    Ok(found)
}

fn verifier(
    tls: &Tls,
    trust: Trust,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, ClientError> {
    let provider = provider.clone();
    if trust == Trust::Anyone {
        return Ok(Arc::new(Lenient { inner: None, name: None, provider }));
    }
    let inner: Arc<dyn ServerCertVerifier> = match &tls.ca {
        None => {
            let machine = rustls_platform_verifier::Verifier::new(provider.clone());
            Arc::new(machine.map_err(|error| refused("the machine's certificate store", &error))?)
        }
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(pem, "tls.ca")? {
                roots.add(certificate).map_err(|error| refused("a certificate in `tls.ca`", &error))?;
            }
            let built =
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
            built.map_err(|error| refused("`tls.ca`", &error))?
        }
    };
    let name = match &tls.server_name {
        _ if trust == Trust::Authority => None,
        None => return Ok(inner),
        Some(name) => {
            Some(ServerName::try_from(name.clone()).map_err(|error| refused("`tls.server-name`", &error))?)
        }
    };
    Ok(Arc::new(Lenient { inner: Some(inner), name, provider }))
}

/// Asks for less than a signed certificate for the name in the URL, or for another name than that.
#[derive(Debug)]
struct Lenient {
    /// Who looks at the certificate; none accepts any: `insecure: true`.
    inner: Option<Arc<dyn ServerCertVerifier>>,
    /// The name that it must be for (behind a forward the URL says 127.0.0.1); none accepts any.
    name: Option<ServerName<'static>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        asked: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(inner) = &self.inner else { return Ok(ServerCertVerified::assertion()) };
        match &self.name {
            Some(name) => inner.verify_server_cert(end, between, name, ocsp, now),
            // The name is looked at last, so a wrong one says that everything else was right.
            None => match inner.verify_server_cert(end, between, asked, ocsp, now) {
                Err(Error::InvalidCertificate(
                    CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
                )) => Ok(ServerCertVerified::assertion()),
                other => other,
            },
        }
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signed, known)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signed, known)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
