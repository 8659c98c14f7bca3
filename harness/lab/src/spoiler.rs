//! A store that does not keep what it was given: a proxy before a MinIO which cuts an archive short as soon as its manifest
//! is there. Whoever read it back before has seen it whole.

use super::LabError;
use super::minio::Owner;
use proofmark_backup::name::{ARCHIVE, MANIFEST};
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The end of the head of a request.
const END: &[u8] = b"\r\n\r\n";

/// A running one; gone when it is dropped.
#[derive(Debug)]
pub(super) struct Spoiler {
    /// Where stores are asked through it.
    pub(super) url: String,
    task: JoinHandle<()>,
}

/// What is done to whom.
struct Order {
    owner: Owner,
    bucket: String,
    cut_after: usize,
}

impl Spoiler {
    /// Starts one for the archives of a bucket, of which so many bytes stay.
    pub(super) async fn start(owner: Owner, bucket: &str, cut_after: usize) -> Result<Self, LabError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(LabError::io("opening a port"))?;
        let address = listener.local_addr().map_err(LabError::io("opening a port"))?;
        let order = Arc::new(Order { owner, bucket: bucket.to_owned(), cut_after });
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let order = Arc::clone(&order);
                // Who is hung up on sees it as an error of the store.
                tokio::spawn(async move { carry(client, &order).await });
            }
        });
        Ok(Self { url: format!("http://{address}"), task })
    }
}

impl Drop for Spoiler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One request, for which the server is asked to close the connection behind its answer.
async fn carry(mut client: TcpStream, order: &Order) -> io::Result<()> {
    let mut head = vec![];
    let end = loop {
        if let Some(at) = head.windows(END.len()).position(|some| some == END) {
            break at;
        }
        if client.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    };
    let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
    let mut server = TcpStream::connect(order.owner.authority()).await?;
    server.write_all(&head[..end]).await?;
    server.write_all(b"\r\nconnection: close").await?;
    server.write_all(&head[end..]).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await.map(drop) });
    let done = match archive_of(&line, &order.bucket) {
        None => tokio::io::copy(&mut from_server, &mut to_client).await.map(drop),
        Some(archive) => {
            let mut answer = vec![];
            from_server.read_to_end(&mut answer).await?;
            // Before the client hears that its manifest was taken: from then on it may look.
            order.owner.cut_short(&archive, order.cut_after).await.map_err(io::Error::other)?;
            to_client.write_all(&answer).await
        }
    };
    up.abort();
    done?;
    to_client.shutdown().await
}

/// The path of the archive whose manifest is put with this request.
fn archive_of(line: &str, bucket: &str) -> Option<String> {
    let path = line.strip_prefix("PUT ")?.split([' ', '?']).next()?;
    let stem = path.strip_suffix(MANIFEST)?;
    stem.starts_with(&format!("/{bucket}/")).then(|| format!("{stem}{ARCHIVE}"))
}

#[cfg(test)]
mod tests {
    use super::archive_of;

    #[test]
    fn only_a_manifest_in_its_bucket_is_waited_for() {
        let of = |line| archive_of(line, "wine");
        assert_eq!(of("PUT /wine/a/b.manifest.json HTTP/1.1").as_deref(), Some("/wine/a/b.dump"));
        for line in [
            "PUT /wine-2/a.manifest.json HTTP/1.1",
            "GET /wine/a.manifest.json HTTP/1.1",
            "PUT /wine/a.dump HTTP/1.1",
            "",
        ] {
            assert_eq!(of(line), None, "{line}");
        }
    }
}
