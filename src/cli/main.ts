/**
 * The command line. Each command is loaded when it is called, so that `--help` is quick and a node carries no shell.
 *
 * Exit status: 0 done, 1 failed, 2 misused.
 */
import { Command, CommanderError, Option } from 'commander'
import { version } from '../base/index.ts'
import { explain } from './terminal.ts'

const program = new Command('lattice')
  .description('LatticeDB: a distributed database that speaks PostgreSQL')
  .version(version)
  .exitOverride()
  .showHelpAfterError()

program
  .command('start')
  .description('run a node in the foreground')
  .option('--data <directory>', 'where the data is')
  .option('--pg <host:port>', 'listen for PostgreSQL clients (default 127.0.0.1:7432)')
  .option('--socket <directory>', 'listen for PostgreSQL clients on a Unix domain socket in it too')
  .option('--http <host:port>', 'listen for HTTP: health, metrics, status (default 127.0.0.1:7480)')
  .option('--config <file>', 'settings in JSON; flags overrule them')
  .option('--peer <host:port>', 'where the other nodes reach this one: makes it a node of a cluster')
  .option('--advertise <host:port>', 'where they do, when it listens elsewhere (containers, proxies)')
  .option('--join <host:port,...>', 'members of the cluster to join through')
  .option('--locality <tiers>', 'where the node is, the widest first: region=eu,zone=a,host=h1')
  .option('--node-id <number>', 'the node id to ask for when joining', Number)
  .option('--replicas <number>', 'copies of everything that the cluster keeps (default 3)', Number)
  .option('--peer-cert <file>', 'certificate for connections between nodes')
  .option('--peer-key <file>', 'its key')
  .option('--peer-ca <file>', "the cluster's authority")
  .option('--insecure', 'allow other hosts to connect without TLS and password')
  .addOption(new Option('--log <level>', 'least level logged').choices(['debug', 'info', 'warn', 'error', 'silent']))
  .action(async (options) => {
    const { runStart } = await import('./start-command.ts')
    await runStart(options)
  })

program
  .command('demo')
  .description('run a cluster on this host with sample data, and a shell')
  .option('--nodes <number>', 'how many nodes; 1 is a node of its own', Number, 3)
  .option('--data <directory>', 'where the data is', '.lattice/demo')
  .option(
    '--pg <host:port>',
    'where node 1 listens for PostgreSQL clients, the others on the next ports',
    '127.0.0.1:7432',
  )
  .option('--http <host:port>', 'the same for HTTP', '127.0.0.1:7480')
  .option('--peer <host:port>', 'the same for other nodes', '127.0.0.1:7400')
  .option('--empty', 'without the sample data')
  .option('--no-shell', 'without a shell, also at a terminal')
  .action(async (options) => {
    const { runDemo } = await import('./demo-command.ts')
    await runDemo(options)
  })

program
  .command('sql')
  .description('run SQL: a shell, or statements from -c, a file or standard input')
  .argument('[url]', 'postgres://user@host:port/database', 'postgres://lattice@127.0.0.1:7432/lattice')
  .option('-c, --command <sql>', 'run this and exit; may be repeated', (text: string, all: string[] = []) => [
    ...all,
    text,
  ])
  .option('-f, --file <path>', 'run a file and exit')
  .addOption(
    new Option('--format <name>', 'how results are shown').choices(['table', 'expanded', 'auto', 'csv', 'json']),
  )
  .option('-q, --quiet', 'show no command tags')
  .option('--continue', 'go on after an error')
  .action(async (url, options) => {
    const { runSql } = await import('./sql-command.ts')
    process.exitCode = await runSql(url, options)
  })

program
  .command('status')
  .description('ask a node how it does')
  .option('--http <host:port>', 'the HTTP port of the node', '127.0.0.1:7480')
  .option('--json', 'as JSON')
  .action(async (options) => {
    const { runStatus } = await import('./status-command.ts')
    process.exitCode = await runStatus(options.http, options.json === true, (text) => void process.stdout.write(text))
  })

program
  .command('decommission')
  .description('take a node out of the cluster for good')
  .argument('<node>', 'its id', Number)
  .option('--http <host:port>', 'the HTTP port of any node', '127.0.0.1:7480')
  .action(async (node, options) => {
    const { runDecommission } = await import('./decommission-command.ts')
    await runDecommission(node, options.http, (text) => void process.stdout.write(text))
  })

program
  .command('storage')
  .description('look at a data directory and verify every checksum')
  .requiredOption('--data <directory>', 'where the data is')
  .option('--json', 'as JSON')
  .action(async (options) => {
    const { runStorage } = await import('./storage-command.ts')
    const write = (text: string) => void process.stdout.write(text)
    process.exitCode = await runStorage(options.data, options.json === true, write)
  })

program
  .command('cert')
  .description('make certificates')
  .argument('<kind>', 'authority, node or client')
  .argument('[name]', 'of the node, or the user name of the client')
  .option('--dir <directory>', 'where the files go', 'certs')
  .option('--days <number>', 'how long they are valid', Number, 365)
  .option('--id <number>', 'of the node', Number)
  .option('--host <name>', 'a name or address of the node; may be repeated', (text: string, all: string[] = []) => [
    ...all,
    text,
  ])
  .action(async (kind, name, options, command) => {
    if (!['authority', 'node', 'client'].includes(kind)) command.error(`error: no such kind of certificate: ${kind}`)
    if (name === undefined && options.id === undefined && kind !== 'authority') {
      command.error(`error: a ${kind} needs a name`)
    }
    const { runCert } = await import('./cert-command.ts')
    for (const path of await runCert(kind, name, options)) process.stdout.write(`${path}\n`)
  })

async function main(): Promise<void> {
  try {
    await program.parseAsync()
  } catch (error) {
    if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2
    else {
      process.stderr.write(explain(error))
      process.exit(1)
    }
  }
}

await main()
