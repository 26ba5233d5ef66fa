/* SPDX-License-Identifier: MIT */
#ifndef HELLO_H
#define HELLO_H

/** Print one line with the results of the functions in hello.c. */
void hello_print(void);

#endif /* HELLO_H */
