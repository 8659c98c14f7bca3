//! Parses the `url` of a store and the address of its server.

use std::path::PathBuf;
use url::Url;

/// Where a store keeps its objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorePlace {
    /// `s3://bucket/prefix`.
    Bucket {
        /// The name of the bucket.
        bucket: String,
        /// The prefix of every object of this store: empty, or with a slash at its end.
        prefix: String,
    },
    /// `file:///folder`: a folder of this machine.
    Folder(PathBuf),
}

impl StorePlace {
    /// Parses the `url` of a store.
    ///
    /// # Errors
    /// What is wrong with it, without the text itself, which may contain a value that was meant for another key.
    pub fn of(url: &str) -> Result<Self, &'static str> {
        if let Some(rest) = url.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            if bucket.contains(['@', ':']) {
                return Err("holds a login or a port");
            }
            if bucket.is_empty() {
                return Err("names no bucket");
            }
            if !bucket.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
                return Err("has a sign in its bucket's name that no bucket can have");
            }
            if prefix.contains(['?', '#']) {
                return Err("has a `?` or `#`, behind which nothing is read");
            }
            let prefix = prefix.trim_matches('/');
            let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
            return Ok(Self::Bucket { bucket: bucket.to_owned(), prefix });
        }
        let folder = Url::parse(url).ok().filter(|url| url.scheme() == "file");
        let folder = folder.ok_or("begins with neither `s3://` nor `file://`")?;
        match folder.to_file_path() {
            Ok(path) if path.parent().is_some() => Ok(Self::Folder(path)),
            Ok(_) => Err("names no folder, or the root of all"),
            Err(()) => Err("is a `file:` with a host: a folder has three slashes, `file:///folder`"),
        }
    }
}

/// Returns an endpoint in the form that requests are built on, without a slash at its end.
///
/// # Errors
/// What is wrong with it, without the text itself.
pub(super) fn endpoint_of(text: &str) -> Result<String, &'static str> {
    let url = Url::parse(text).map_err(|_| "is no URL")?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("does not begin with `http://` or `https://`");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a login, which belongs into `access-key` and `secret-key`");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a `?` or `#`");
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_bucket_or_a_folder_or_neither() {
        let bucket = |bucket: &str, prefix: &str| {
            Ok(StorePlace::Bucket { bucket: bucket.into(), prefix: prefix.into() })
        };
        assert_eq!(StorePlace::of("s3://a"), bucket("a", ""));
        assert_eq!(StorePlace::of("s3://a/"), bucket("a", ""));
        assert_eq!(StorePlace::of("s3://a.b-c/x/y/"), bucket("a.b-c", "x/y/"));
        assert_eq!(StorePlace::of("s3://a/x y"), bucket("a", "x y/"));
        assert_eq!(StorePlace::of("file:///a/b%20c"), Ok(StorePlace::Folder("/a/b c".into())));
        for url in [
            "s3://",
            "s3:///a",
            "s3://key:word@a/x",
            "s3://a:9000/x",
            "s3://a b",
            "s3://a/x?y",
            "file:///",
            "file://a/b",
            "http://a/b",
            "a",
            "",
        ] {
            assert!(StorePlace::of(url).is_err(), "{url}");
        }
    }

    #[test]
    fn an_endpoint_is_a_whole_url_without_a_login() {
        assert_eq!(endpoint_of("http://minio:9000/"), Ok("http://minio:9000".into()));
        assert_eq!(endpoint_of("https://host/s3"), Ok("https://host/s3".into()));
        for text in ["minio:9000", "minio", "127.0.0.1:9000", "ftp://a", "http://a:b@c", "http://a/?x", ""] {
            assert!(endpoint_of(text).is_err(), "{text}");
        }
    }
}
