//! Asking others: a witness for its cosignature, an authority for a time stamp (RFC 3161 §3.4).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use sb_audit::{
    AddCheckpoint, NoteSignature, TimeStamp, TimeStampError, VerifierKey, WitnessError, parse_cosignatures,
    parse_latest_size, time_stamp_request,
};
use sb_crypto::{Random, random_array};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Error};

const PATIENCE: Duration = Duration::from_secs(30);
/// More than the longest note that is read, and than the longest time stamp.
const ANSWER_BYTES_MAX: u64 = 512 << 10;
const REASON_CHARS_MAX: usize = 200;
const QUERY: &str = "application/timestamp-query";
const REPLY: &str = "application/timestamp-reply";

/// Sends requests, by HTTP or HTTPS. Redirections are not followed; a proxy named by the usual environment variables is used.
#[derive(Clone, Debug)]
pub struct Client {
    agent: Agent,
}

/// An answer with whatever status.
struct Reply {
    status: u16,
    content_type: String,
    body: Vec<u8>,
}

impl Client {
    /// Trusts the certificates that the operating system does. It waits half a minute for an answer.
    #[must_use]
    pub fn new() -> Self {
        Self::waiting(PATIENCE)
    }

    /// The same, waiting this long for each answer.
    #[must_use]
    pub fn waiting(patience: Duration) -> Self {
        // Of a store that can't be read nothing is trusted, and connections say so.
        let found = rustls_native_certs::load_native_certs().certs;
        let roots: Vec<_> = found.iter().map(|root| Certificate::from_der(root).to_owned()).collect();
        Self::of(&roots, patience)
    }

    /// Trusts these certificates (PEM) and no others, such as that of a witness which has made its own.
    ///
    /// # Errors
    /// [`RootsError`] if there are none, or something else.
    pub fn trusting(pem: &[u8]) -> Result<Self, RootsError> {
        let mut roots = Vec::new();
        for item in parse_pem(pem) {
            match item {
                Ok(PemItem::Certificate(root)) => roots.push(root),
                _ => return Err(RootsError),
            }
        }
        if roots.is_empty() { Err(RootsError) } else { Ok(Self::of(&roots, PATIENCE)) }
    }

    fn of(roots: &[Certificate<'static>], patience: Duration) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(roots))
            .unversioned_rustls_crypto_provider(provider)
            .build();
        let config = Agent::config_builder()
            .timeout_global(Some(patience))
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("sb-witness/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls)
            .build();
        Self { agent: config.into() }
    }

    /// Asks the witness at `url` (its submission prefix, without `/add-checkpoint`) to cosign a checkpoint: the cosignatures
    /// by `witnesses` in its answer, at least one, all verified.
    ///
    /// # Errors
    /// [`SubmitError`]. After [`Stale`](SubmitError::Stale), ask again with the proof from the size it names.
    pub fn submit(
        &self,
        url: &str,
        request: &AddCheckpoint,
        witnesses: &[VerifierKey],
    ) -> Result<Vec<NoteSignature>, SubmitError> {
        let target = format!("{}/add-checkpoint", url.trim_end_matches('/'));
        let reply = self.post(&target, "text/plain; charset=utf-8", request.to_string().as_bytes())?;
        let url = || target.clone();
        match reply.status {
            200 => parse_cosignatures(&reply.body, request.note(), witnesses)
                .map_err(|source| SubmitError::Answer { url: url(), source }),
            409 => {
                let size = parse_latest_size(&reply.body);
                let latest = size.map_err(|error| SubmitError::Answer { url: url(), source: error.into() })?;
                // It is told the size it has cosigned, and still refuses: only another root is a reason for that.
                let is_fork = latest == request.old_size();
                Err(if is_fork { SubmitError::OtherRoot { url: url(), latest } } else { SubmitError::Stale { latest } })
            }
            status => Err(SubmitError::Refused { url: url(), status, reason: reply.reason() }),
        }
    }

    /// Asks the authority at `url` for a time stamp of `message`: the bytes of its answer, to keep. It was checked to be of
    /// this message, made for this request and signed, but not who vouches for the authority:
    /// [`Authorities`](sb_audit::Authorities) do that.
    ///
    /// # Errors
    /// [`StampError`].
    ///
    /// # Panics
    /// When the source of randomness fails.
    pub fn time_stamp(&self, url: &str, message: &[u8], random: &dyn Random) -> Result<Vec<u8>, StampError> {
        let nonce = u64::from_be_bytes(random_array(random));
        let reply = self.post(url, QUERY, &time_stamp_request(message, Some(nonce)))?;
        let url = || url.to_owned();
        if reply.status != 200 {
            return Err(StampError::Refused { url: url(), status: reply.status, reason: reply.reason() });
        }
        if !reply.content_type.eq_ignore_ascii_case(REPLY) {
            return Err(StampError::OtherType { url: url(), found: harmless(&reply.content_type) });
        }
        let stamp = TimeStamp::read(&reply.body, message);
        let stamp = stamp.map_err(|source| StampError::Answer { url: url(), source })?;
        if stamp.answers(nonce) { Ok(reply.body) } else { Err(StampError::OtherRequest { url: url() }) }
    }

    fn post(&self, url: &str, content_type: &str, body: &[u8]) -> Result<Reply, HttpError> {
        let fails = |error| HttpError::of(url, error);
        let is_http = |scheme: &str| url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
        if !is_http("http://") && !is_http("https://") {
            return Err(HttpError::Url { url: url.to_owned() });
        }
        let mut response = self.agent.post(url).content_type(content_type).send(body).map_err(fails)?;
        let status = response.status().as_u16();
        let content_type = response.body().mime_type().unwrap_or_default().to_owned();
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec().map_err(fails)?;
        Ok(Reply { status, content_type, body })
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Reply {
    /// The first line of what it says.
    fn reason(&self) -> String {
        harmless(String::from_utf8_lossy(&self.body).lines().next().unwrap_or_default())
    }
}

/// A text of somebody else's that fits into a message.
fn harmless(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(REASON_CHARS_MAX).collect()
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The address can't be one.
    #[error("`{url}` is not an address of http or https")]
    Url {
        /// The address.
        url: String,
    },
    /// Nobody there could be reached.
    #[error("cannot reach `{url}`")]
    Unreachable {
        /// The address.
        url: String,
        /// Why.
        source: io::Error,
    },
    /// It takes too long.
    #[error("`{url}` has not answered in time")]
    TimedOut {
        /// The address.
        url: String,
    },
    /// More was answered than anybody asks for.
    #[error("the answer of `{url}` is too long")]
    TooLong {
        /// The address.
        url: String,
    },
}

impl HttpError {
    fn of(url: &str, error: Error) -> Self {
        let url = url.to_owned();
        match error {
            Error::BadUri(_) | Error::Http(_) => Self::Url { url },
            Error::Timeout(_) => Self::TimedOut { url },
            Error::BodyExceedsLimit(_) | Error::LargeResponseHeader(..) => Self::TooLong { url },
            other => Self::Unreachable { url, source: other.into_io() },
        }
    }
}

/// Why there is no cosignature.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The witness has not answered.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// It has cosigned the log at another size than the request says: ask again with the proof from there.
    #[error("the witness has last cosigned the log at size {latest}")]
    Stale {
        /// At which.
        latest: u64,
    },
    /// It has cosigned another log of that size: this one has forked, or was written anew.
    #[error("`{url}` has cosigned another root of the log at size {latest}")]
    OtherRoot {
        /// The address.
        url: String,
        /// At which size.
        latest: u64,
    },
    /// It refuses.
    #[error("`{url}` has refused with status {status}: {reason}")]
    Refused {
        /// The address.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What it says.
        reason: String,
    },
    /// What it answers is not usable.
    #[error("the answer of `{url}` is not usable")]
    Answer {
        /// The address.
        url: String,
        /// Why.
        source: WitnessError,
    },
}

/// Why there is no time stamp.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StampError {
    /// The authority has not answered.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// It refuses.
    #[error("`{url}` has refused with status {status}: {reason}")]
    Refused {
        /// The address.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What it says.
        reason: String,
    },
    /// It answers with something else, such as a page for people.
    #[error("`{url}` has answered with `{found}`, not with a time stamp")]
    OtherType {
        /// The address.
        url: String,
        /// The content type of the answer.
        found: String,
    },
    /// What it answers is not usable.
    #[error("the answer of `{url}` is not usable")]
    Answer {
        /// The address.
        url: String,
        /// Why.
        source: TimeStampError,
    },
    /// The time stamp was made for another request, and may be as old as that.
    #[error("the time stamp of `{url}` was not made for this request")]
    OtherRequest {
        /// The address.
        url: String,
    },
}

/// What was given as certificates is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a list of certificates in PEM")]
pub struct RootsError;
