/** Startup parameters of a client, sorted by what becomes of them. Byte-as-char. */
export interface SortedParameters {
  /** What backend connections are opened with. */
  readonly backend: ReadonlyMap<string, string>;
  /** pgweir's own settings, with their prefix. */
  readonly own: ReadonlyMap<string, string>;
  readonly applicationName: string;
  /** Value of `replication` when the connection is to be one of physical or logical replication. */
  readonly replication: string | null;
}

const OWN_PREFIX = 'pgweir.';

/** Sorts startup parameters, those inside `options` too. */
export function sortParameters(parameters: ReadonlyMap<string, string>): SortedParameters {
  const backend = new Map<string, string>();
  const own = new Map<string, string>();
  let applicationName: string | undefined;
  let applicationNameInOptions = '';
  let replication: string | null = null;
  for (const [name, value] of parameters) {
    const key = name.toLowerCase();
    if (key === 'application_name') applicationName = value;
    else if (key === 'replication') replication = isNo(value) ? null : value;
    else if (key.startsWith(OWN_PREFIX)) own.set(key, value);
    else if (key.startsWith('_pq_.')) continue;
    else if (key === 'options') {
      const rest = takeOptions(value, (option, optionValue) => {
        if (option === 'application_name') applicationNameInOptions = optionValue;
        else if (option.startsWith(OWN_PREFIX)) own.set(option, optionValue);
        else return false;
        return true;
      });
      if (rest !== '') backend.set('options', rest);
    } else backend.set(key, value);
  }
  // PostgreSQL reads the options first (process_postgres_switches, process_startup_options of postinit.c).
  return { backend, own, applicationName: applicationName ?? applicationNameInOptions, replication };
}

/** Takes `-c name=value` that `take` wants out of an options text and returns the rest. Source: pg_split_opts in postinit.c. */
function takeOptions(options: string, take: (name: string, value: string) => boolean): string {
  const kept: string[] = [];
  const words = splitOptions(options);
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? '';
    const next = words[index + 1];
    const takesNext = word === '-c' && next !== undefined;
    const assignment = takesNext ? next : word.startsWith('--') ? word.slice(2) : word.startsWith('-c') ? word.slice(2) : '';
    const match = /^([^=]+)=(.*)$/s.exec(withoutEscapes(assignment));
    const name = match?.[1]?.trim().toLowerCase().replaceAll('-', '_');
    if (takesNext) index++;
    if (name !== undefined && take(name, match?.[2] ?? '')) continue;
    kept.push(takesNext ? `${word} ${next}` : word);
  }
  return kept.join(' ');
}

/** Words between white space; a backslash takes the next character as it is. Escapes are kept. */
function splitOptions(options: string): string[] {
  return options.match(/(?:\\[\s\S]|[^\s\\])+\\?/g) ?? [];
}

function withoutEscapes(word: string): string {
  return word.replace(/\\([\s\S])/g, '$1');
}

/** Whether `replication` asks for an ordinary connection. Source: ProcessStartupPacket in backend_startup.c, parse_bool. */
function isNo(value: string): boolean {
  return /^(f|fa|fal|fals|false|n|no|of|off|0)$/i.test(value);
}
