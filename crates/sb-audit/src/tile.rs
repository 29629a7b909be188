//! The tiles of a log: its tree as small files, as C2SP tlog-tiles v0.1.0 lays them out.
//!
//! A tile holds up to 256 consecutive hashes of one level of the tree, where level `l` counts subtrees of 256^l leaves;
//! an entry bundle holds the up to 256 entries of the tile of level 0 at the same place.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use sb_crypto::{Digest, TreeHasher};

use crate::lines::decimal;
use crate::malformed::Malformed;
use crate::tree::Subtree;

/// How many hashes, or entries, a full tile holds.
pub const TILE_WIDTH: u64 = 256;
const FORMAT: &str = "tile";
/// How many bits of a leaf's index one level of tiles covers.
const LEVEL_BITS: u32 = 8;
/// A proof needs at most 16 tiles; with fewer kept, proofs of neighbours would read them again.
const TILES_CACHED: usize = 64;

/// Which tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tile {
    /// What is in it.
    pub kind: TileKind,
    /// Its place in its level, from 0.
    pub index: u64,
    /// How many hashes or entries it holds: 256 in a full one, 1 to 255 in one that is still to grow.
    pub width: u16,
}

/// What a tile holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TileKind {
    /// The roots of subtrees of 256^level leaves; level 0 holds the hashes of leaves. At most 7 are of use.
    Hashes(u8),
    /// The entries themselves: an entry bundle.
    Entries,
}

impl Tile {
    /// The widest tile of this kind and place that a log of `size` entries has, if it has one.
    #[must_use]
    pub fn of_log(kind: TileKind, index: u64, size: u64) -> Option<Self> {
        let level = match kind {
            TileKind::Hashes(level) => u32::from(level),
            TileKind::Entries => 0,
        };
        let hashes = size.checked_shr(level * LEVEL_BITS).unwrap_or(0);
        let width = hashes.saturating_sub(index.checked_mul(TILE_WIDTH)?).min(TILE_WIDTH);
        let width = u16::try_from(width).expect("at most 256");
        (width > 0).then_some(Self { kind, index, width })
    }

    /// Whether it will grow no more.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.width as u64 == TILE_WIDTH
    }
}

/// The path below a log's prefix, such as `tile/0/x001/x234/067` or `tile/entries/000.p/13`.
impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Hashes(level) => write!(f, "tile/{level}/")?,
            TileKind::Entries => f.write_str("tile/entries/")?,
        }
        let digits = self.index.to_string();
        let digits = format!("{digits:0>width$}", width = digits.len().next_multiple_of(3));
        let groups = digits.len() / 3;
        for group in 0..groups {
            let more = group + 1 < groups;
            let digits = &digits[3 * group..3 * group + 3];
            write!(f, "{}{digits}{}", if more { "x" } else { "" }, if more { "/" } else { "" })?;
        }
        if self.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

/// Reads the path back; other spellings of it are refused.
impl FromStr for Tile {
    type Err = Malformed;

    fn from_str(path: &str) -> Result<Self, Malformed> {
        parse_path(path).filter(|tile| tile.to_string() == path).ok_or(Malformed::at_byte(
            "path of a tile",
            0,
            "not like `tile/0/x001/234` or `tile/entries/001.p/7`",
        ))
    }
}

fn parse_path(path: &str) -> Option<Tile> {
    let (level, rest) = path.strip_prefix("tile/")?.split_once('/')?;
    let (index, width) = rest.split_once(".p/").unwrap_or((rest, "256"));
    let kind = match level {
        "entries" => TileKind::Entries,
        _ => TileKind::Hashes(u8::try_from(decimal(level)?).ok().filter(|level| *level < 64)?),
    };
    let digits: String = index.chars().filter(char::is_ascii_digit).collect();
    let index = digits.parse().ok()?;
    let width = u16::try_from(decimal(width)?).ok().filter(|width| (1..=256).contains(width))?;
    Some(Tile { kind, index, width })
}

/// The hashes of a tile of this width.
///
/// # Errors
/// [`Malformed`] if there are more bytes or fewer.
pub fn parse_tile(bytes: &[u8], width: u16) -> Result<Vec<Digest>, Malformed> {
    if bytes.len() != 32 * usize::from(width) {
        return Err(Malformed::at_byte(FORMAT, bytes.len().min(32 * usize::from(width)), "the wrong length"));
    }
    let digest = |hash: &[u8]| Digest::from_bytes(hash.try_into().expect("chunks of 32 bytes"));
    Ok(bytes.chunks_exact(32).map(digest).collect())
}

fn tile_bytes(hashes: &[Digest]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

/// The root of the full tree over these hashes, a power of two of them.
fn root_over(hashes: &[Digest]) -> Digest {
    let mut tree = TreeHasher::new();
    tree.extend(hashes.iter().copied());
    tree.root()
}

/// Makes the tiles of a log whose entries arrive one by one.
///
/// ```
/// use sb_audit::TileWriter;
/// use sb_crypto::leaf_hash;
/// let mut writer = TileWriter::new();
/// for number in 0..300_u32 {
///     for (tile, _bytes) in writer.push(leaf_hash(&number.to_be_bytes())) {
///         assert_eq!(tile.to_string(), "tile/0/000");
///     }
/// }
/// let partial: Vec<_> = writer.partial().iter().map(|(tile, _)| tile.to_string()).collect();
/// assert_eq!(partial, ["tile/0/001.p/44", "tile/1/000.p/1"]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct TileWriter {
    size: u64,
    /// The hashes of the tile at the right edge, for each level.
    edge: Vec<Vec<Digest>>,
}

impl TileWriter {
    /// For a log without entries.
    #[must_use]
    pub const fn new() -> Self {
        Self { size: 0, edge: Vec::new() }
    }

    /// Goes on with a log of `size` entries, whose partial tiles `read` delivers.
    ///
    /// # Errors
    /// [`TileError`] if `read` fails or delivers something else.
    pub fn resume<E>(size: u64, read: &mut dyn FnMut(Tile) -> Result<Vec<u8>, E>) -> Result<Self, TileError<E>> {
        let mut edge = Vec::new();
        for level in 0.. {
            let Some(hashes @ 1..) = size.checked_shr(u32::from(level) * LEVEL_BITS) else { break };
            let tile = Tile::of_log(TileKind::Hashes(level), hashes / TILE_WIDTH, size);
            edge.push(tile.map_or(Ok(Vec::new()), |tile| read_tile(tile, read))?);
        }
        Ok(Self { size, edge })
    }

    /// How many entries there are.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Appends the hash of a leaf. Returns the tiles that are full now, lowest level first: mostly none.
    #[must_use]
    pub fn push(&mut self, leaf: Digest) -> Vec<(Tile, Vec<u8>)> {
        self.size += 1;
        let mut full = Vec::new();
        let mut hash = leaf;
        for level in 0_u8.. {
            if self.edge.len() == usize::from(level) {
                self.edge.push(Vec::new());
            }
            let edge = &mut self.edge[usize::from(level)];
            edge.push(hash);
            if edge.len() < 256 {
                break;
            }
            let index = (self.size >> (u32::from(level + 1) * LEVEL_BITS)) - 1;
            full.push((Tile { kind: TileKind::Hashes(level), index, width: 256 }, tile_bytes(edge)));
            hash = root_over(edge);
            edge.clear();
        }
        full
    }

    /// The tiles at the right edge that are not full, as a checkpoint of this size needs them.
    #[must_use]
    pub fn partial(&self) -> Vec<(Tile, Vec<u8>)> {
        let tile = |(level, edge): (usize, &Vec<Digest>)| {
            let level = u8::try_from(level).expect("a size of 64 bits has 8 levels of tiles");
            let index = self.size >> (u32::from(level) * LEVEL_BITS) >> LEVEL_BITS;
            let width = u16::try_from(edge.len()).expect("below 256");
            (Tile { kind: TileKind::Hashes(level), index, width }, tile_bytes(edge))
        };
        self.edge.iter().enumerate().filter(|(_, edge)| !edge.is_empty()).map(tile).collect()
    }
}

/// Why the hash of a subtree could not be had.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TileError<E> {
    /// Reading a tile failed.
    #[error("{tile} can't be read")]
    Read {
        /// Which one.
        tile: Tile,
        /// Why.
        source: E,
    },
    /// What was read is no such tile.
    #[error("{tile} is damaged")]
    Damaged {
        /// Which one.
        tile: Tile,
        /// How.
        source: Malformed,
    },
    /// The log is too short to have this subtree.
    #[error("{size} entries have no subtree {} of level {}", subtree.index, subtree.level)]
    Outside {
        /// What was asked for.
        subtree: Subtree,
        /// How many entries the log has.
        size: u64,
    },
}

fn read_tile<E>(tile: Tile, read: &mut dyn FnMut(Tile) -> Result<Vec<u8>, E>) -> Result<Vec<Digest>, TileError<E>> {
    let bytes = read(tile).map_err(|source| TileError::Read { tile, source })?;
    parse_tile(&bytes, tile.width).map_err(|source| TileError::Damaged { tile, source })
}

/// The hashes of subtrees out of the tiles of a log, for [`prove_inclusion`](crate::prove_inclusion) and its siblings.
///
/// Keeps some tiles in memory (at most about half a megabyte). It believes the tiles: a proof made from false ones fails
/// when it is verified.
pub struct TileReader<'a, E> {
    size: u64,
    read: &'a mut dyn FnMut(Tile) -> Result<Vec<u8>, E>,
    cached: BTreeMap<Tile, Vec<Digest>>,
}

impl<'a, E> TileReader<'a, E> {
    /// For a log of `size` entries, whose tiles `read` delivers.
    pub fn new(size: u64, read: &'a mut dyn FnMut(Tile) -> Result<Vec<u8>, E>) -> Self {
        Self { size, read, cached: BTreeMap::new() }
    }

    /// The hash of a subtree.
    ///
    /// # Errors
    /// [`TileError`].
    pub fn hash_of(&mut self, subtree: Subtree) -> Result<Digest, TileError<E>> {
        let outside = TileError::Outside { subtree, size: self.size };
        let level = subtree.level / LEVEL_BITS;
        let height = subtree.level % LEVEL_BITS;
        let per_tile = TILE_WIDTH >> height;
        let kind = TileKind::Hashes(u8::try_from(level).unwrap_or(u8::MAX));
        let Some(tile) = Tile::of_log(kind, subtree.index / per_tile, self.size) else { return Err(outside) };
        if !self.cached.contains_key(&tile) {
            let hashes = read_tile(tile, self.read)?;
            if self.cached.len() == TILES_CACHED {
                self.cached.clear();
            }
            self.cached.insert(tile, hashes);
        }
        let first = usize::try_from((subtree.index % per_tile) << height).expect("below 256");
        self.cached[&tile].get(first..first + (1 << height)).map(root_over).ok_or(outside)
    }
}

impl<E> fmt::Debug for TileReader<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TileReader").field("size", &self.size).finish_non_exhaustive()
    }
}
