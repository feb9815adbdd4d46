// The program's commands. Each gets the words from its own name on and returns the exit status.
#ifndef NORMA_TOOLS_COMMANDS_H
#define NORMA_TOOLS_COMMANDS_H

int cmd_devices(int argc, const char **argv);
int cmd_run(int argc, const char **argv);
int cmd_explain(int argc, const char **argv);
int cmd_describe(int argc, const char **argv);
int cmd_bench(int argc, const char **argv);
int cmd_check(int argc, const char **argv);
int cmd_inspect(int argc, const char **argv);

#endif
