/* SPDX-License-Identifier: MIT */
#define OWN 1
