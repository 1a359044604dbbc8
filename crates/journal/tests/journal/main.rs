//! The journal's stories: Ana and Ben keep, open, change and look back.

#[cfg(test)]
mod at_once;
#[cfg(test)]
mod convergence;
#[cfg(test)]
mod entry;
#[cfg(test)]
mod history;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod import;
#[cfg(test)]
mod opening;
#[cfg(test)]
mod photo;
#[cfg(test)]
mod story;
