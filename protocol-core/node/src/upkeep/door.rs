//! A door into a running node, for who may read its data folder: a Unix socket in it, by which a snapshot is asked for.
//!
//! One line goes in, `snapshot FOLDER`; out come `chunk N` for each chunk, then `done MANIFEST` or `error TEXT`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use portico_store::Manifest;
use tokio_util::sync::CancellationToken;

use crate::NodeError;
use crate::machine::Machine;

/// Name of the socket in the data folder.
#[cfg(unix)]
const SOCKET: &str = "node.sock";

/// Asks the node that runs over `data_dir` for a snapshot into `folder`. `None` when no node answers there.
pub fn ask_for_snapshot(
    data_dir: &Path,
    folder: &Path,
    progress: impl FnMut(usize),
) -> Result<Option<Manifest>, NodeError> {
    #[cfg(unix)]
    return unix::ask(&data_dir.join(SOCKET), folder, progress);
    #[cfg(not(unix))]
    {
        let _ = (data_dir, folder, progress);
        Ok(None)
    }
}

/// Answers at the door until `stop`.
pub(crate) async fn serve(data_dir: PathBuf, machine: Arc<Machine>, stop: CancellationToken) {
    #[cfg(unix)]
    unix::serve(&data_dir.join(SOCKET), &machine, &stop).await;
    #[cfg(not(unix))]
    {
        let _ = (data_dir, machine);
        stop.cancelled().await;
    }
}

#[cfg(unix)]
mod unix {
    use std::io::{self, BufRead as _, BufReader, Write as _};
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::net::UnixStream as BlockingStream;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use std::time::Duration;

    use portico_store::Manifest;
    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{UnixListener, UnixStream};
    use tokio::sync::mpsc;
    use tokio_util::sync::CancellationToken;

    use crate::NodeError;
    use crate::machine::Machine;
    use crate::upkeep::about;

    /// Longest request, in bytes.
    const MAX_REQUEST: u64 = 8 << 10;
    /// Time for a request to arrive.
    const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
    /// Lines of progress that wait for a slow asker; later ones are left out.
    const MAX_LINES: usize = 64;

    fn failed(path: &Path) -> impl FnOnce(io::Error) -> NodeError + '_ {
        |source| NodeError::Door {
            path: path.to_owned(),
            source,
        }
    }

    pub(super) fn ask(
        socket: &Path,
        folder: &Path,
        mut progress: impl FnMut(usize),
    ) -> Result<Option<Manifest>, NodeError> {
        let mut stream = match BlockingStream::connect(socket) {
            Ok(stream) => stream,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(failed(socket)(error)),
        };
        let folder = std::path::absolute(folder).map_err(failed(folder))?;
        let asked = stream.write_all(format!("snapshot {}\n", folder.display()).as_bytes());
        asked.map_err(failed(socket))?;
        for line in BufReader::new(stream).lines() {
            let line = line.map_err(failed(socket))?;
            match line.split_once(' ') {
                Some(("chunk", index)) => progress(index.parse().unwrap_or(0)),
                Some(("done", manifest)) => {
                    let manifest = serde_json::from_str(manifest);
                    return manifest
                        .map(Some)
                        .map_err(|error| NodeError::Refused(error.to_string()));
                }
                Some(("error", text)) => return Err(NodeError::Refused(text.to_owned())),
                _ => return Err(NodeError::Refused(format!("the node says {line:?}"))),
            }
        }
        Err(NodeError::Refused("the node hung up".into()))
    }

    /// A node goes on without a door when it cannot be made, such as in a folder with a very long name.
    pub(super) async fn serve(socket: &Path, machine: &Arc<Machine>, stop: &CancellationToken) {
        let listener = match listen(socket) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::warn!(%error, path = %socket.display(), "no snapshots can be asked of this node while it runs");
                return stop.cancelled().await;
            }
        };
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => tokio::select! {
                        () = stop.cancelled() => break,
                        answered = answer(stream, machine) => if let Err(error) = answered {
                            tracing::debug!(%error, "the asker left");
                        },
                    },
                    Err(error) => tracing::debug!(%error, "nobody came through the door"),
                },
            }
        }
        let _ = std::fs::remove_file(socket);
    }

    /// The file of the store is locked, so that what is there is of a node that ended.
    fn listen(socket: &Path) -> io::Result<UnixListener> {
        match std::fs::remove_file(socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(socket)?;
        std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    }

    async fn answer(stream: UnixStream, machine: &Arc<Machine>) -> io::Result<()> {
        let (read, mut write) = stream.into_split();
        let mut line = String::new();
        let mut request = tokio::io::BufReader::new(read.take(MAX_REQUEST));
        tokio::time::timeout(REQUEST_TIMEOUT, request.read_line(&mut line)).await??;
        let folder = line
            .trim_end_matches('\n')
            .strip_prefix("snapshot ")
            .map(PathBuf::from);
        let Some(folder) = folder.filter(|folder| folder.is_absolute()) else {
            return write.write_all(b"error the request is not understood\n").await;
        };
        let (lines, mut written) = mpsc::channel(MAX_LINES);
        let machine = machine.clone();
        let task = tokio::task::spawn_blocking(move || {
            machine.write_snapshot(&folder, |index| {
                let _ = lines.try_send(index);
            })
        });
        while let Some(index) = written.recv().await {
            write.write_all(format!("chunk {index}\n").as_bytes()).await?;
        }
        let last = match task.await {
            Ok(Ok(manifest)) => {
                tracing::info!(
                    height = manifest.height,
                    chunks = manifest.chunks.len(),
                    "snapshot written"
                );
                format!("done {}\n", serde_json::to_string(&manifest).unwrap_or_default())
            }
            Ok(Err(error)) => format!("error {}\n", portico_protocol::causes(&error).replace('\n', " ")),
            Err(_) => "error the node stops\n".into(),
        };
        write.write_all(last.as_bytes()).await
    }

    impl Machine {
        fn write_snapshot(
            &self,
            folder: &Path,
            progress: impl FnMut(usize),
        ) -> Result<Manifest, portico_store::StoreError> {
            self.store().write_snapshot(folder, about, progress)
        }
    }
}
