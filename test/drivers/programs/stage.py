"""What the Python programs share: the form of what they print (see ../transcript.ts)."""
import traceback


def say(*seen):
    print(':', *(str(thing).replace('\n', ' | ') for thing in seen), flush=True)


def place(port, statement):
    print('@', port, statement, flush=True)


def idiom(name):
    """Runs the decorated function at once, as the idiom of that name."""

    def run(show):
        print('=', name, flush=True)
        try:
            show()
        except Exception as error:
            at = [frame for frame in traceback.extract_tb(error.__traceback__) if 'programs' in frame.filename][-1]
            print('!', f'line {at.lineno}:', type(error).__name__, str(error).replace('\n', ' | '), flush=True)

    return run
