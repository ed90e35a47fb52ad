// vk/cmd.h once more: while twin_running, recordings are run by the operators in plain C, on copies
// of the buffers; else by the device. A program that has this has no other vk/cmd.c.
#pragma once
#include <stdbool.h>
#include <stdint.h>

extern bool twin_running;        // to be changed only while no recording is alive
extern uint64_t twin_dispatches; // that ran in C
