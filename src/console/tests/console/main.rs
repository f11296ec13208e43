//! The console through its public face: clicks and keys in, wishes and pictures out. One program, linked once.

mod agenda;
mod checked;
mod design;
mod fixture;
mod interactions;
mod kit;
mod languages;
mod levers;
mod library;
mod pictures;
mod reach;
mod rehearsal;
mod review;
mod sharing;
mod stage;
