//! Letting a host in: a token, a proof, a name, a certificate.

use rescind_protocol::enrol::{EnrolRequest, Enrolled};
use rescind_protocol::name::{HostId, HostName, UnixMillis};
use rescind_protocol::sign::{BadSignature, PayloadType};
use rusqlite::Connection;

use crate::ca::{CaError, Issued};
use crate::db::audit::{self, Operator};
use crate::db::certificates::{self, Holder};
use crate::db::hosts::{self, Joining};
use crate::db::{DbError, tokens};
use crate::plane::Plane;

/// Why a host was not let in. What the token's state is, is said to nobody who has no valid one.
#[derive(Debug, thiserror::Error)]
pub enum NotEnrolled {
    /// No such token, used up, or too old.
    #[error("the token is unknown, used or expired; make a new one with `rescind token new`")]
    Token,
    /// The host does not hold the evidence key it shows.
    #[error("the proof of the evidence key is wrong: {0}")]
    Possession(BadSignature),
    /// The token is for another host.
    #[error("the token was made for host {0}")]
    OtherHost(String),
    /// The name is taken, and the token does not say that it is the same host.
    #[error(
        "host {0} is enrolled; to enrol it again make a token with `rescind token new --host {0}`"
    )]
    NameTaken(HostName),
    /// It names an id it had, and the token does not say so.
    #[error(
        "to enrol again as {0} the token must be made for that host: `rescind token new --host NAME`"
    )]
    Formerly(HostId),
    /// The certificate could not be made.
    #[error(transparent)]
    Ca(#[from] CaError),
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Lets a host in, or does not. What is answered is durable.
pub async fn enrol(
    plane: &Plane,
    request: EnrolRequest,
    peer: &str,
    now: UnixMillis,
) -> Result<Enrolled, NotEnrolled> {
    // Looked up by digest: an attacker who measures time learns about digests, not about secrets.
    let digest = request.secret.digest();
    let wanted = Wanted {
        name: request.name.clone(),
        formerly: request.formerly,
    };
    let check = wanted.clone();
    let (token, joining) = plane
        .db
        .read(move |conn| {
            let token = tokens::usable(conn, digest, now)?.ok_or(NotEnrolled::Token)?;
            let joining = who(conn, &token, &check)?;
            Ok::<_, NotEnrolled>((token, joining))
        })
        .await?;
    request
        .evidence_key
        .verify(PayloadType::Possession, &request.csr, &request.possession)
        .map_err(NotEnrolled::Possession)?;
    let id = match joining {
        Known::New => HostId::from_uuid(uuid::Uuid::new_v4()),
        Known::Again(id) => id,
    };
    let hours = plane.config.certificate_hours;
    let issued: Issued = plane.ca.certify_host(&request.csr, id, hours, now)?;
    let (certificate, not_after) = (issued.digest, issued.not_after);
    let host = Joining {
        id,
        name: request.name,
        evidence_key: request.evidence_key,
        agent_version: hosts::printable(&request.agent_version),
        os: hosts::printable(&request.os),
    };
    let operator = Operator {
        name: token.made_by.clone(),
        via: format!("token {}", token.id),
    };
    let peer = peer.to_owned();
    let again = plane
        .db
        .write(move |conn| {
            // Once more, now that nobody else can use the token or take the name.
            let token = tokens::usable(conn, digest, now)?.ok_or(NotEnrolled::Token)?;
            let known = who(conn, &token, &wanted)?;
            match known {
                Known::Again(id) if id == host.id => {
                    hosts::rejoin(conn, &host, now)?;
                    certificates::remove_host(conn, id)?;
                }
                // Somebody with the same token was faster.
                Known::Again(_) => return Err(NotEnrolled::NameTaken(host.name)),
                Known::New => hosts::insert(conn, &host, now)?,
            }
            tokens::spend(conn, token.id)?;
            certificates::insert(conn, certificate, &Holder::Host(host.id), not_after, now)?;
            let detail = format!("host {} ({}) from {peer}", host.name, host.id);
            audit::record(conn, &operator, "enrol", &detail, now)?;
            Ok::<_, NotEnrolled>(matches!(known, Known::Again(_)))
        })
        .await?;
    if again {
        plane.presence.close(id);
    }
    tracing::info!(host = %id, again, "a host was enrolled");
    Ok(Enrolled {
        host: id,
        certificate: issued.pem,
        ca: plane.ca.pem().to_owned(),
        not_after,
        order_keys: vec![plane.order_key.verifying_key()],
        server_name: plane.server_name.clone(),
    })
}

#[derive(Debug, Clone)]
struct Wanted {
    name: HostName,
    formerly: Option<HostId>,
}

#[derive(Debug, Clone, Copy)]
enum Known {
    New,
    Again(HostId),
}

/// Which host this is. Only an operator's token made for a host brings that host back.
fn who(conn: &Connection, token: &tokens::Token, wanted: &Wanted) -> Result<Known, NotEnrolled> {
    if let Some(name) = &token.host {
        return match (hosts::find(conn, name)?, wanted.formerly) {
            (Some(host), Some(id)) if host.id != id => Err(NotEnrolled::OtherHost(name.clone())),
            (Some(host), _) => Ok(Known::Again(host.id)),
            (None, Some(id)) => Err(NotEnrolled::Formerly(id)),
            (None, None) if *name == wanted.name.as_str() => Ok(Known::New),
            (None, None) => Err(NotEnrolled::OtherHost(name.clone())),
        };
    }
    if let Some(id) = wanted.formerly {
        return Err(NotEnrolled::Formerly(id));
    }
    match hosts::find(conn, wanted.name.as_str())? {
        Some(_) => Err(NotEnrolled::NameTaken(wanted.name.clone())),
        None => Ok(Known::New),
    }
}
