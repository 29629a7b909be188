//! The roll: who may do what in this vault (docs/format.md §19).

use std::collections::BTreeMap;

use sb_crypto::Digest;

use super::cbor::{Fields, Malformed, Value, array};
use super::slot::{read_public, write_public};
use super::{read_time, time};
use crate::access::{KeySet, Member, Roll};
use crate::ids::{KeyId, UserId};

impl Roll {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let texts = |texts: &[String]| array(texts, String::as_str);
        let member = |member: &Member| {
            Fields::new()
                .with(1, member.user)
                .with(2, texts(&member.roles))
                .with(3, member.keys.bits())
                .with(4, member.active)
                .with(5, texts(&member.clients))
                .with(6, texts(&member.walled_off))
                .with_some(7, member.access_until.map(time))
                .with_some(8, member.login.as_deref())
                .with_some(9, member.key)
                .with_some(10, member.recipient.as_ref().map(write_public))
                .with_some(11, member.grant.as_deref())
        };
        let role = |(name, includes): (&String, &Vec<String>)| vec![Value::from(name.as_str()), texts(includes)];
        Fields::new()
            .with(1, self.generation)
            .with_some(2, self.previous)
            .with(3, time(self.time))
            .with(4, self.by)
            .with(5, array(&self.members, member))
            .with(6, array(&self.roles, role))
            .with_some(7, self.policies.as_deref())
            .encode()
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::decode(body)?;
        let roll = Self {
            generation: fields.need(1)?.uint()?,
            previous: fields.take(2).map(|value| value.array_of().map(Digest::from_bytes)).transpose()?,
            time: read_time(fields.need(3)?)?,
            by: UserId::new(fields.need(4)?.array_of()?),
            members: fields.need(5)?.list(read_member)?,
            roles: fields.need(6)?.list(read_role)?.into_iter().collect::<BTreeMap<_, _>>(),
            policies: fields.take(7).map(Value::text).transpose()?,
        };
        let is_twice =
            |(at, member): (usize, &Member)| roll.members[..at].iter().any(|other| other.user == member.user);
        if roll.members.iter().enumerate().any(is_twice) {
            return Err(Malformed("the same user twice"));
        }
        Ok(roll)
    }
}

fn read_member(value: Value) -> Result<Member, Malformed> {
    let mut fields = value.fields()?;
    let user = UserId::new(fields.need(1)?.array_of()?);
    let roles = fields.need(2)?.list(Value::text)?;
    let keys = KeySet::from_bits(fields.need(3)?.uint()?).ok_or(Malformed("an unknown set of keys"))?;
    Ok(Member {
        user,
        roles,
        keys,
        active: fields.need(4)?.boolean()?,
        clients: fields.need(5)?.list(Value::text)?,
        walled_off: fields.need(6)?.list(Value::text)?,
        access_until: fields.take(7).map(read_time).transpose()?,
        login: fields.take(8).map(Value::bytes).transpose()?,
        key: fields.take(9).map(|value| value.array_of().map(KeyId::new)).transpose()?,
        recipient: fields.take(10).map(read_public).transpose()?,
        grant: fields.take(11).map(Value::text).transpose()?,
    })
}

fn read_role(value: Value) -> Result<(String, Vec<String>), Malformed> {
    let [name, includes] = value.tuple()?;
    Ok((name.text()?, includes.list(Value::text)?))
}
