/* SPDX-License-Identifier: MIT */
#ifndef LIMITS_H
#define LIMITS_H

#define LONGEST_NAME 16

#endif /* LIMITS_H */
