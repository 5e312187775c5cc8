/*
 * mapped_fault.h - the end of a process that has touched a page of a mapped file which is not to be
 * had: the disk failed under it, or somebody cut the file short. Segments of the join that were
 * paged, checkpoints and snapshots are used in place; the kernel tells of such a page by SIGBUS
 * alone, in the middle of whatever is done with it.
 */
#ifndef ESP_CMD_RUN_MAPPED_FAULT_H
#define ESP_CMD_RUN_MAPPED_FAULT_H

/* From here on one line on stderr names the file, and the process leaves with EX_IOERR, as any
 * other fault of the disk ends it: nothing is written any more, so what is saved stays sound. A
 * SIGBUS of another kind kills as ever. */
void mapped_fault_install(void);

#endif
