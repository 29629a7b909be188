//! The config: what the vault is made with (docs/format.md §5).

use chrono::{DateTime, Utc};
use sb_crypto::{Digest, HashAlgorithm, PublicKey, RecipientAlgorithm, VerifyingKey};

use super::cbor::{Fields, Malformed, Value, array};
use super::{read_time, time};
use crate::ids::CompartmentId;

/// What a writer must know: that slots are made by approved algorithms only.
pub(crate) const APPROVED_ALGORITHMS: &str = "approved-algorithms";

/// What everybody may know of a vault.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    pub(crate) generation: u64,
    pub(crate) previous: Option<Digest>,
    pub(crate) created: DateTime<Utc>,
    pub(crate) incompatible: Vec<String>,
    pub(crate) writer_only: Vec<String>,
    pub(crate) compatible: Vec<String>,
    pub(crate) root: VerifyingKey,
    pub(crate) hash: HashAlgorithm,
    pub(crate) recipient: RecipientAlgorithm,
    pub(crate) tiers: Vec<Tier>,
    pub(crate) compartments: Vec<CompartmentPublic>,
    /// When the newest epoch began, unless that was when the vault was made.
    pub(crate) began: Option<DateTime<Utc>>,
    /// Fields of a later version of the format.
    pub(crate) extra: Fields,
}

/// Files below the limit are cut by this chunker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tier {
    pub(crate) size_limit: u64,
    pub(crate) chunker: u64,
}

/// A compartment's public keys, oldest epoch first.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CompartmentPublic {
    pub(crate) id: CompartmentId,
    pub(crate) epochs: Vec<Epoch>,
    /// Earlier epochs whose content keys nobody has any more, and their meta public keys.
    pub(crate) closed: Vec<(u64, PublicKey)>,
}

impl CompartmentPublic {
    /// True if something may be sealed to the key with this id.
    pub(crate) fn names(&self, key: [u8; 16]) -> bool {
        let open = self.epochs.iter().flat_map(|epoch| [&epoch.meta, &epoch.content]);
        open.chain(self.closed.iter().map(|(_, meta)| meta)).any(|public| public.key_id() == key)
    }
}

/// The two public keys of one epoch.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Epoch {
    pub(crate) number: u64,
    pub(crate) meta: PublicKey,
    pub(crate) content: PublicKey,
}

impl Config {
    /// True if whatever is written is to use approved algorithms only.
    pub(crate) fn is_approved_only(&self) -> bool {
        self.writer_only.iter().any(|feature| feature == APPROVED_ALGORITHMS)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let texts = |texts: &[String]| array(texts, String::as_str);
        let fields = self.extra.clone();
        fields
            .with(1, self.generation)
            .with_some(2, self.previous)
            .with(3, time(self.created))
            .with(4, texts(&self.incompatible))
            .with(5, texts(&self.writer_only))
            .with(6, texts(&self.compatible))
            .with(7, self.root.as_bytes())
            .with(8, self.hash as u64)
            .with(9, self.recipient as u64)
            .with(10, array(&self.tiers, |tier| vec![tier.size_limit.into(), Value::from(tier.chunker)]))
            .with(11, array(&self.compartments, compartment))
            .with_some(12, self.began.map(time))
            .encode()
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::decode(body)?;
        let number = |value: Value| u8::try_from(value.uint()?).map_err(|_| Malformed("an unknown algorithm"));
        let recipient =
            RecipientAlgorithm::from_u8(number(fields.need(9)?)?).ok_or(Malformed("an unknown algorithm"))?;
        Ok(Self {
            generation: fields.need(1)?.uint()?,
            previous: fields.take(2).map(|v| v.array_of().map(Digest::from_bytes)).transpose()?,
            created: read_time(fields.need(3)?)?,
            incompatible: fields.need(4)?.list(Value::text)?,
            writer_only: fields.need(5)?.list(Value::text)?,
            compatible: fields.need(6)?.list(Value::text)?,
            root: VerifyingKey::from_bytes(fields.need(7)?.array_of()?),
            hash: HashAlgorithm::from_u8(number(fields.need(8)?)?).ok_or(Malformed("an unknown algorithm"))?,
            recipient,
            tiers: fields.need(10)?.list(|tier| {
                let [size_limit, chunker] = tier.tuple()?;
                Ok(Tier { size_limit: size_limit.uint()?, chunker: chunker.uint()? })
            })?,
            compartments: fields.need(11)?.list(|value| read_compartment(value, recipient))?,
            began: fields.take(12).map(read_time).transpose()?,
            extra: fields,
        })
    }
}

fn compartment(compartment: &CompartmentPublic) -> Fields {
    let epochs = array(&compartment.epochs, |epoch| {
        vec![epoch.number.into(), epoch.meta.as_bytes().into(), Value::from(epoch.content.as_bytes())]
    });
    let closed = array(&compartment.closed, |(number, meta)| vec![Value::from(*number), meta.as_bytes().into()]);
    let closed = (!compartment.closed.is_empty()).then_some(closed);
    Fields::new().with(1, compartment.id).with(2, epochs).with_some(3, closed)
}

fn read_compartment(value: Value, algorithm: RecipientAlgorithm) -> Result<CompartmentPublic, Malformed> {
    let mut fields = value.fields()?;
    let key = |value: Value| {
        PublicKey::from_bytes(algorithm, &value.bytes()?).map_err(|_| Malformed("not a public key of this algorithm"))
    };
    let id = CompartmentId::new(fields.need(1)?.array_of()?);
    let epochs = fields.need(2)?.list(|epoch| {
        let [number, meta, content] = epoch.tuple()?;
        Ok(Epoch { number: number.uint()?, meta: key(meta)?, content: key(content)? })
    })?;
    if epochs.is_empty() {
        return Err(Malformed("a compartment without keys"));
    }
    let closed = fields.take(3).map(|closed| {
        closed.list(|epoch| {
            let [number, meta] = epoch.tuple()?;
            Ok((number.uint()?, key(meta)?))
        })
    });
    Ok(CompartmentPublic { id, epochs, closed: closed.transpose()?.unwrap_or_default() })
}
