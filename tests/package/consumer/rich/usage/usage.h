/* SPDX-License-Identifier: MIT */
#define USAGE 1
