//! A proxy between a client and a real server that plays a trick: it loses an answer, cuts one off, or hangs up.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What is done to one exchange.
#[derive(Debug, Clone, Copy)]
pub enum Trick {
    /// The server gets the request and does it; the client hears nothing.
    LoseAnswer,
    /// The client gets so many bytes of the answer, its head included.
    CutAnswer(usize),
    /// The client is hung up on while it sends, again and again.
    HangUp,
    /// The server gets so many bytes of what is sent and no more, and the client is hung up on, again and again.
    CutRequest(usize),
}

type Tricks = Arc<Mutex<Vec<(String, Trick)>>>;

/// A running proxy; gone when it is dropped.
pub struct Proxy {
    pub url: String,
    tricks: Tricks,
    task: JoinHandle<()>,
}

impl Proxy {
    pub async fn start(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (server, tricks) = (server.trim_start_matches("http://").to_owned(), Tricks::default());
        let played = tricks.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, server.clone(), played.clone()));
            }
        });
        Self { url, tricks, task }
    }

    /// Plays a trick on the next request whose first line begins like this, and holds what stands behind a `*`.
    pub fn play(&self, begins: &str, trick: Trick) {
        self.tricks.lock().unwrap().push((begins.to_owned(), trick));
    }

    /// Plays no more of them; gives back how many there were.
    pub fn forget(&self) -> usize {
        self.tricks.lock().unwrap().drain(..).count()
    }

    /// How many tricks were not played yet.
    pub fn left(&self) -> usize {
        self.tricks.lock().unwrap().len()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One request, for which the server is asked to close the connection behind its answer.
async fn carry(mut client: TcpStream, server: String, tricks: Tricks) -> Option<()> {
    let mut head = vec![];
    let end = loop {
        if let Some(at) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if client.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    };
    let line = String::from_utf8_lossy(&head).lines().next()?.to_owned();
    let trick = {
        let mut tricks = tricks.lock().unwrap();
        let at = tricks.iter().position(|(begins, _)| {
            let (begins, holds) = begins.split_once('*').unwrap_or((begins, ""));
            line.strip_prefix(begins).is_some_and(|rest| rest.contains(holds))
        });
        at.map(|at| match tricks[at].1 {
            again @ (Trick::HangUp | Trick::CutRequest(_)) => again,
            _ => tricks.remove(at).1,
        })
    };
    if matches!(trick, Some(Trick::HangUp)) {
        return None;
    }
    let mut server = TcpStream::connect(server).await.ok()?;
    server.write_all(&head[..end]).await.ok()?;
    server.write_all(b"\r\nconnection: close").await.ok()?;
    let beside = match trick {
        Some(Trick::CutRequest(bytes)) => head.len().min(end + 4 + bytes),
        _ => head.len(),
    };
    server.write_all(&head[end..beside]).await.ok()?;
    if let Some(Trick::CutRequest(bytes)) = trick {
        let (mut body, mut left) = (client, bytes as u64);
        left -= (head.len() - end - 4).min(bytes) as u64;
        tokio::io::copy(&mut (&mut body).take(left), &mut server).await.ok()?;
        server.shutdown().await.ok()?;
        // What it makes of that is waited for, so that it has made it before anyone looks.
        tokio::io::copy(&mut server, &mut tokio::io::sink()).await.ok()?;
        return None;
    }
    let (mut from_server, mut to_server) = server.into_split();
    let (mut from_client, mut to_client) = client.into_split();
    let up = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await.map(drop) });
    let mut nowhere = tokio::io::sink();
    let done = match trick {
        None | Some(Trick::HangUp | Trick::CutRequest(_)) => {
            tokio::io::copy(&mut from_server, &mut to_client).await
        }
        Some(Trick::LoseAnswer) => tokio::io::copy(&mut from_server, &mut nowhere).await,
        Some(Trick::CutAnswer(bytes)) => {
            tokio::io::copy(&mut from_server.take(bytes as u64), &mut to_client).await
        }
    };
    done.ok()?;
    up.abort();
    to_client.shutdown().await.ok()
}
