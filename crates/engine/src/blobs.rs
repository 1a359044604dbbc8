//! What a replica says about blobs (protocol §2.12). The bytes are somebody else's business.

use ajar_protocol::BlobId;
use ajar_protocol::blob_msg::DeleteBlobs;

use crate::replica::Replica;
use crate::store::Store;

impl<S: Store> Replica<S> {
    /// A signed command to the relay to delete blobs that this party put there.
    #[must_use]
    pub fn delete_blobs(&self, mut blobs: Vec<BlobId>) -> DeleteBlobs {
        blobs.sort_unstable();
        blobs.dedup();
        let (space, device) = (self.space.id, self.space.device);
        let hash = DeleteBlobs::hash_of(&space, &device, &blobs);
        DeleteBlobs {
            space,
            device,
            blobs,
            signature: self.space.secrets.sign_relay_command(&hash),
        }
    }

    /// Whether the relay of this connection lacks what a relay had confirmed: it has lost
    /// something, or is another one. Then it may lack blobs, too.
    #[must_use]
    pub fn relay_is_behind(&self) -> bool {
        self.uplink.as_ref().is_some_and(|uplink| uplink.is_behind)
    }
}
