//! Something that stands between a client and a real PostgreSQL, as a pooler does, and plays a trick.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread::spawn;

/// What is done to every session.
#[derive(Debug, Clone)]
pub enum Trick {
    /// Whatever database is asked for, this is the one.
    OneDatabase(String),
    /// Where the server says the first, the client hears the second, which is as long.
    Says(String, String),
}

/// Begins it, for as long as the test runs; gives back its port.
pub fn between(server: u16, trick: &Trick) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, trick) = (listener.local_addr().unwrap().port(), trick.clone());
    spawn(move || {
        for client in listener.incoming().flatten() {
            let trick = trick.clone();
            // That one of both is gone ends it.
            spawn(move || carry(client, server, &trick).ok());
        }
    });
    port
}

fn carry(mut client: TcpStream, server: u16, trick: &Trick) -> std::io::Result<()> {
    let mut server = TcpStream::connect(("127.0.0.1", server))?;
    let mut length = [0; 4];
    client.read_exact(&mut length)?;
    let mut first = vec![0; u32::from_be_bytes(length) as usize - 4];
    client.read_exact(&mut first)?;
    if let Trick::OneDatabase(database) = trick {
        first = to(database, &first);
    }
    server.write_all(&u32::try_from(first.len() + 4).unwrap().to_be_bytes())?;
    server.write_all(&first)?;
    let (mut up, mut down) = (client.try_clone()?, server.try_clone()?);
    spawn(move || {
        std::io::copy(&mut up, &mut down).ok();
        down.shutdown(Shutdown::Both).ok();
    });
    let mut room = vec![0; 64 << 10];
    loop {
        let read = server.read(&mut room)?;
        if read == 0 {
            return client.shutdown(Shutdown::Both);
        }
        if let Trick::Says(this, that) = trick {
            let found = room[..read].windows(this.len()).position(|some| some == this.as_bytes());
            if let Some(at) = found {
                room[at..at + that.len()].copy_from_slice(that.as_bytes());
            }
        }
        client.write_all(&room[..read])?;
    }
}

/// The first message of a session, for this database: a version, then keys and values, each behind it a zero.
fn to(database: &str, first: &[u8]) -> Vec<u8> {
    let mut words: Vec<Vec<u8>> = first[4..].split(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
    if let Some(at) = words.iter().step_by(2).position(|key| key == b"database") {
        words[2 * at + 1] = database.into();
    }
    [&first[..4], &words.join(&0)].concat()
}
