//! Questions that operators ask a host, passed on and answered while they wait.

use rescind_protocol::message::{Answer, Query};
use tokio::sync::oneshot;

use super::connection::{End, Session};
use super::presence::{Asked, QUESTIONS_MAX};

/// The largest answer to a question, all pieces together.
const ANSWER_BYTES_MAX: usize = rescind_protocol::section::SECTION_BYTES_MAX;

/// A question that was sent and not yet answered.
pub(super) struct OpenQuestion {
    id: u64,
    json: Vec<u8>,
    reply: oneshot::Sender<Result<Vec<u8>, String>>,
}

impl Session {
    pub(super) async fn ask(&mut self, asked: Asked) -> Result<(), End> {
        // Those who asked and no longer wait make room.
        self.open.retain(|open| !open.reply.is_closed());
        if self.open.len() >= QUESTIONS_MAX {
            // Whoever asked may have gone.
            let _ = asked
                .reply
                .send(Err("it has too many questions to answer already".into()));
            return Ok(());
        }
        self.questions_asked += 1;
        let id = self.questions_asked;
        self.open.push(OpenQuestion {
            id,
            json: Vec::new(),
            reply: asked.reply,
        });
        self.send(Query {
            id,
            what: asked.question,
        })
        .await
    }

    pub(super) fn take_answer(&mut self, answer: Answer) {
        let Some(at) = self.open.iter().position(|open| open.id == answer.id) else {
            return;
        };
        let open = &mut self.open[at];
        let too_long = open.json.len() + answer.json.len() > ANSWER_BYTES_MAX;
        let error = match answer.error {
            Some(error) => Some(error),
            None if too_long => Some(format!(
                "its answer is longer than {ANSWER_BYTES_MAX} bytes"
            )),
            None => None,
        };
        if error.is_none() {
            open.json.extend_from_slice(&answer.json);
        }
        if error.is_some() || answer.last {
            let open = self.open.swap_remove(at);
            // Whoever asked may have gone.
            let _ = open.reply.send(error.map_or(Ok(open.json), Err));
        }
    }
}
