/* schema/schema.h - the steps that lead from an empty database to the present one */
#ifndef STAGEPOST_SCHEMA_SCHEMA_H
#define STAGEPOST_SCHEMA_SCHEMA_H

#include <stddef.h>

/* In the header of the file: "Stgp". */
#define SCHEMA_APPLICATION_ID 0x53746770

/* One file of this folder, 0001_….sql and so on. Forward only. */
struct schema_step {
	int version; /* user_version once it was run; counts from 1 without gaps */
	const char *name;
	const char *sql; /* several statements, run in one transaction */
};

/* Made from the .sql files when the program is built. */
extern const struct schema_step schema_steps[];
extern const size_t schema_step_count;

/* The version this program works with: that of the last step. */
static inline int schema_version(void)
{
	return schema_steps[schema_step_count - 1].version;
}

#endif
